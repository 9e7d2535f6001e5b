//! A store that has to ask elsewhere: the slow way through the service.

use std::{
    future::Future,
    net::Ipv4Addr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use buttress_core::{Clock as _, Tick, clock::ManualClock};
use buttress_http::{ClientIp, FieldStyle};
use buttress_rate_limit::{
    ConfigError, Decision, Limit, OnMissingKey, Permit, Policy, RateLimitLayer, Store,
    store::{Acquire, Answer, Charge, MemoryStore},
};
use http::Request;
use tokio::sync::oneshot;
use tower::{Layer as _, Service as _, ServiceExt as _, limit::ConcurrencyLimitLayer};

use crate::support::{Handler, clock, from_peer, http, send};

/// Answers when the test says so, and remembers what it was asked.
#[derive(Debug, Default)]
struct Remote {
    asked: Mutex<Vec<oneshot::Sender<Answer>>>,
    settled: Mutex<Vec<(Tick, i64)>>,
}

impl Remote {
    fn answer(&self, admitted: bool) {
        let span = Duration::from_secs(5);
        let decision = if admitted {
            Decision::admitted(6, span, span)
        } else {
            Decision::refused(0, span, span, span)
        };
        let answer = Answer {
            decisions: vec![decision],
            refused_by: (!admitted).then_some(0),
        };
        let asked = self.asked.lock().unwrap().pop().unwrap();
        assert!(asked.send(answer).is_ok(), "nobody waits for the answer");
    }

    fn settled(&self) -> Vec<(Tick, i64)> {
        self.settled.lock().unwrap().clone()
    }
}

impl Store for Remote {
    fn acquire(&self, _: Tick, _: &[Charge<'_>], _: &mut [Decision]) -> Acquire {
        let (answer, receive) = oneshot::channel();
        self.asked.lock().unwrap().push(answer);
        Acquire::Later(Box::pin(async move { receive.await.unwrap() }))
    }

    fn settle(&self, at: Tick, _: &Charge<'_>, by: i64) {
        self.settled.lock().unwrap().push((at, by));
    }
}

fn remote() -> (Arc<Remote>, RateLimitLayer) {
    remote_at(&clock())
}

fn remote_at(clock: &ManualClock) -> (Arc<Remote>, RateLimitLayer) {
    let remote = Arc::new(Remote::default());
    let layer = http(Policy::new("all", "7/s"))
        .store(Arc::clone(&remote) as Arc<dyn Store>)
        .clock(clock.clone())
        .build()
        .unwrap();
    (remote, layer)
}

fn request() -> Request<()> {
    from_peer(Ipv4Addr::LOCALHOST)
}

#[tokio::test]
async fn its_answer_decides() {
    let (remote, layer) = remote();
    let handler = Handler::default();
    for (admitted, status) in [(true, 200), (false, 429)] {
        let sent = tokio::spawn({
            let (layer, handler) = (layer.clone(), handler.clone());
            async move { send(&layer, &handler, request()).await }
        });
        tokio::task::yield_now().await;
        remote.answer(admitted);
        let answer = sent.await.unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("retry-after"), (!admitted).then_some("5"));
        let fields = if admitted {
            r#""all";r=6;t=5"#
        } else {
            r#""all";r=0;t=5"#
        };
        assert_eq!(answer.header("ratelimit"), Some(fields));
    }
    assert_eq!(handler.calls(), 1);
    assert!(remote.settled().is_empty(), "what was called is spent");
}

/// What it admitted can be settled as what memory admits.
#[tokio::test]
async fn who_is_admitted_by_it_has_a_permit() {
    let remote = Arc::new(Remote::default());
    let layer = http(Policy::new("all", "7/s"))
        .store(Arc::clone(&remote) as Arc<dyn Store>)
        .clock(clock())
        .permits()
        .build()
        .unwrap();
    let handler = tower::service_fn(|request: Request<()>| async move {
        let settled = request.extensions().get::<Permit>().unwrap().settle(4);
        Ok::<_, std::convert::Infallible>(::http::Response::new(settled.to_string()))
    });
    let call = begun(layer.layer(handler).oneshot(request()));
    remote.answer(true);
    assert_eq!(call.await.unwrap().status(), 200);
    assert_eq!(remote.settled(), [(clock().now(), 3)]);
}

/// Of a request to which no policy applies there is nothing to ask, be it one policy or several.
#[tokio::test]
async fn nobody_waits_for_it_where_there_is_nothing_to_ask() {
    for several in [false, true] {
        let by = |name| {
            let policy = Policy::new(name, "7/s").key(ClientIp::peer());
            policy.missing_key(OnMissingKey::Exempt)
        };
        let (remote, mut layer) = (Arc::new(Remote::default()), http(by("one")));
        if several {
            layer = layer.policy(by("other"));
        }
        let layer = layer.store(Arc::clone(&remote) as Arc<dyn Store>);
        let layer = layer.clock(clock()).build().unwrap();
        let nobody = Request::new(());
        let mut call = Box::pin(layer.layer(Handler::default().service()).oneshot(nobody));
        let answered = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(answer)) = answered else {
            panic!("it waits");
        };
        assert_eq!((answer.status().as_u16(), answer.headers().len()), (200, 0));
        assert!(remote.asked.lock().unwrap().is_empty());
    }
}

/// A call that waits for something.
fn begun<F: Future>(call: F) -> Pin<Box<F>> {
    let mut call = Box::pin(call);
    let context = &mut Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(context).is_pending());
    call
}

/// Who waits for the store holds nothing of the inner service.
#[tokio::test]
async fn the_wait_holds_no_readiness() {
    let (_remote, layer) = remote();
    let inner = ConcurrencyLimitLayer::new(1).layer(Handler::default().service());
    let mut waiting = layer.layer(inner.clone());
    let asked = waiting.ready().await.unwrap().call(request());
    let mut other = inner;
    assert!(
        other
            .poll_ready(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    );
    drop(asked);
}

#[tokio::test]
async fn a_call_that_is_given_up_before_the_inner_service_was_called_is_refunded() {
    let clock = clock();
    let charged = clock.now();
    let (remote, layer) = remote_at(&clock);
    let handler = Handler::default();
    let concurrency = ConcurrencyLimitLayer::new(1).layer(handler.service());
    let mut blocker = concurrency.clone();
    let mut service = layer.layer(concurrency);
    let mut call = begun(service.ready().await.unwrap().call(request()));

    // Somebody takes the only permit; the store admits; the call now waits for the inner service.
    blocker.ready().await.unwrap();
    remote.answer(true);
    assert!(
        call.as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    clock.advance(Duration::from_secs(9));
    drop(call);
    // As of when it was charged, for algorithms of windows.
    assert_eq!(remote.settled(), [(charged, -1)]);
    assert_eq!(handler.calls(), 0);
}

#[tokio::test]
async fn a_call_that_is_given_up_before_the_store_answered_has_nothing_to_give_back() {
    let (remote, layer) = remote();
    let mut service = layer.layer(Handler::default().service());
    let mut call = begun(service.ready().await.unwrap().call(request()));
    assert!(
        call.as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    drop(call);
    assert!(remote.settled().is_empty());
}

/// Fails when it is asked whether it is ready for another call.
#[derive(Clone)]
struct Broken;

impl tower::Service<Request<()>> for Broken {
    type Response = http::Response<String>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Err("gone"))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        std::future::ready(Err("called"))
    }
}

#[tokio::test]
async fn a_service_that_fails_before_it_was_called_costs_nothing() {
    let (remote, layer) = remote();
    let call = layer.layer(Broken).call(request());
    remote.answer(true);
    assert_eq!(call.await.unwrap_err(), "gone");
    assert_eq!(remote.settled(), [(clock().now(), -1)]);
}

/// While the quota is looked up nothing is charged yet; while the store is asked, it may be.
#[tokio::test]
async fn what_is_given_back_after_a_lookup_is_dated_by_when_the_store_was_asked() {
    let (remote, clock) = (Arc::new(Remote::default()), clock());
    let (found, finding) = oneshot::channel::<()>();
    let finding = Mutex::new(Some(finding));
    let lookup = move |_: &buttress_http::Head| {
        let finding = finding.lock().unwrap().take().unwrap();
        async move {
            finding.await.unwrap();
            None
        }
    };
    let layer = http(Policy::new("all", "7/s").quota_by_lookup(lookup))
        .store(Arc::clone(&remote) as Arc<dyn Store>)
        .clock(clock.clone())
        .build()
        .unwrap();
    let concurrency = ConcurrencyLimitLayer::new(1).layer(Handler::default().service());
    let mut blocker = concurrency.clone();
    let mut service = layer.layer(concurrency);
    let mut call = begun(service.ready().await.unwrap().call(request()));
    blocker.ready().await.unwrap();
    let mut poll = || {
        clock.advance(Duration::from_secs(3));
        let context = &mut Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(context).is_pending());
        clock.now()
    };
    found.send(()).unwrap();
    let asked = poll();
    remote.answer(true);
    poll();
    drop(call);
    assert_eq!(remote.settled(), [(asked, -1)]);
}

#[test]
fn nobody_waits_for_it_in_shadow_mode() {
    let layer = http(Policy::new("all", "7/s")).policy(Policy::new("tried", "1/s").shadow());
    let error = layer
        .store(Arc::new(Remote::default()))
        .build()
        .unwrap_err();
    assert_eq!((error.field(), error.value()), ("shadow", "tried"));
}

/// Keeps nothing: asks how much a store in memory would take.
#[derive(Debug, Default)]
struct Measured(Mutex<usize>);

impl Store for Measured {
    fn acquire(&self, _: Tick, _: &[Charge<'_>], _: &mut [Decision]) -> Acquire {
        Acquire::Refused { by: 0 }
    }

    fn settle(&self, _: Tick, _: &Charge<'_>, _: i64) {}

    fn supports(&self, limits: &[Arc<Limit>]) -> Result<(), ConfigError> {
        *self.0.lock().unwrap() = MemoryStore::with_room_for(limits, 1_000_000)?.bytes();
        Ok(())
    }
}

#[test]
fn a_policy_without_a_key_takes_no_room() {
    let bytes = |policy: Policy| {
        let measured = Arc::new(Measured::default());
        let layer = http(policy).store(Arc::clone(&measured) as Arc<dyn Store>);
        layer.build().unwrap();
        *measured.0.lock().unwrap()
    };
    let all = Policy::new("all", "7/s");
    assert!(bytes(all.clone()) < 1_024, "{}", bytes(all.clone()));
    assert!(bytes(all.clone().quota_by(|_| None)) < 1_024);
    let keyed = bytes(all.key(buttress_http::ClientIp::peer()));
    assert!((32_000_000..32_010_000).contains(&keyed), "{keyed}");
}

#[tokio::test]
async fn without_fields_too() {
    let remote = Arc::new(Remote::default());
    let layer = http(Policy::new("all", "7/s"))
        .store(Arc::clone(&remote) as Arc<dyn Store>)
        .fields(FieldStyle::None)
        .clock(clock())
        .build()
        .unwrap();
    let mut service = layer.layer(Handler::default().service());
    let call = service.ready().await.unwrap().call(request());
    remote.answer(true);
    assert_eq!(call.await.unwrap().headers().len(), 0);
}
