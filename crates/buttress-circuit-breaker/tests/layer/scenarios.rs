//! The scenarios of `tests/vectors`, played on the layer under tokio's paused clock.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use buttress_circuit_breaker::{CircuitBreakerLayer, GuardedBody};
use buttress_http::{LocalRefusal, retry_after_seconds};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};

use crate::{
    scenario::{self, End, Subject, trip},
    support::{Answers, Frames, request, status},
};

#[path = "../scenario/breaker.rs"]
mod breaker;

type Reply = Result<Answers, &'static str>;
type Guarded = Result<Response<GuardedBody<Frames>>, &'static str>;

struct Layered {
    layer: CircuitBreakerLayer,
    /// How often something was good or bad: each time in another way.
    ends: usize,
}

struct Going {
    future: Pin<Box<dyn Future<Output = Guarded>>>,
    reply: oneshot::Sender<Reply>,
}

impl Subject for Layered {
    type Call = Going;

    async fn begin(&mut self) -> Result<Going, Option<Duration>> {
        let (reply, answer) = oneshot::channel::<Reply>();
        let answer = Arc::new(Mutex::new(Some(answer)));
        let upstream = service_fn(move |_: Request<()>| {
            let answer = answer.lock().unwrap().take().unwrap();
            async { answer.await.unwrap() }
        });
        let mut service = self.layer.layer(upstream);
        let mut future = Box::pin(service.ready().await.unwrap().call(request()));
        let mut context = Context::from_waker(Waker::noop());
        match future.as_mut().poll(&mut context) {
            Poll::Pending => Ok(Going { future, reply }),
            Poll::Ready(refused) => {
                let refused = refused.unwrap();
                assert_eq!(refused.status(), 503);
                let wait = LocalRefusal::of(&refused).unwrap().retry_after();
                let told = refused.headers().get("retry-after");
                let told = told.map(|value| value.to_str().unwrap().parse().unwrap());
                assert_eq!(told, wait.map(retry_after_seconds));
                Err(wait)
            }
        }
    }

    async fn end(&mut self, call: Going, end: End) {
        self.ends += 1;
        let good: [Reply; 4] = [
            Ok(status(200)),
            Ok(Response::new(Frames::default().data("body"))),
            Ok(status(404)),
            Ok(status(501)),
        ];
        let bad: [Reply; 5] = [
            Ok(status(500)),
            Ok(status(502)),
            Ok(status(503)),
            Ok(status(504)),
            Err("connection refused"),
        ];
        let n = self.ends;
        let reply = match end {
            End::Ok => good.into_iter().cycle_nth(n),
            End::Fail => bad.into_iter().cycle_nth(n),
            End::Ignored => {
                let mut response = status(503);
                LocalRefusal::new(None).mark(&mut response);
                Ok(response)
            }
            End::Throttled(None) => Ok(status(429)),
            End::Throttled(Some(wait)) => {
                let mut response = status(if n.is_multiple_of(2) { 429 } else { 503 });
                let wait = format!("{}.{:09}", wait.as_secs(), wait.subsec_nanos());
                response
                    .headers_mut()
                    .insert("retry-after", wait.parse().unwrap());
                Ok(response)
            }
        };
        assert!(call.reply.send(reply).is_ok());
        if let Ok(response) = call.future.await {
            response.into_body().collect().await.unwrap();
        }
    }

    async fn give_up(&mut self, call: Going) {
        drop(call);
    }

    async fn wait(&mut self, span: Duration) {
        tokio::time::advance(span).await;
    }

    fn hand(&mut self, switch: &str) {
        let breaker = self.layer.breaker();
        match switch {
            "open" => breaker.force_open(),
            "disable" => breaker.disable(),
            "metrics" => breaker.metrics_only(),
            _ => breaker.close(),
        }
    }

    fn state(&self) -> String {
        self.layer.breaker().state().to_string()
    }
}

trait CycleNth: ExactSizeIterator + Sized {
    fn cycle_nth(mut self, n: usize) -> Self::Item {
        let len = self.len();
        self.nth(n % len).unwrap()
    }
}

impl<I: ExactSizeIterator> CycleNth for I {}

#[tokio::test(start_paused = true)]
async fn the_layer_does_what_the_scenarios_say() {
    for scenario in scenario::all() {
        let layer = CircuitBreakerLayer::http(trip(&scenario.trip));
        let layer = breaker::configured(layer, &scenario).build().unwrap();
        scenario::play(&scenario, Layered { layer, ends: 0 }).await;
    }
}
