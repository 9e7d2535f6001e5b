//! What holds whatever happens: a crowd at an upstream in every mood, some of which leaves early.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use buttress_core::{Clock as _, Random, Tick, clock::TokioClock};
use buttress_http::LocalRefusal;
use buttress_retry::{Attempt, Budget, BudgetRule, ReplayBody, RequestTimeout, RetryLayer};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::task::JoinSet;
use tower::{Layer as _, Service, ServiceExt, limit::GlobalConcurrencyLimitLayer};

use crate::support::{Frames, MS, S, answer, put, too_many, with};

/// Grants what it is asked for, and counts.
#[derive(Clone, Debug, Default)]
struct Ledger(Arc<[AtomicU32; 2]>);

impl Ledger {
    fn spent(&self) -> u32 {
        let [granted, refunded] = self.0.each_ref().map(|n| n.load(Ordering::SeqCst));
        granted - refunded
    }
}

impl BudgetRule for Ledger {
    fn try_retry(&self) -> bool {
        self.0[0].fetch_add(1, Ordering::SeqCst);
        true
    }

    fn refund(&self) {
        self.0[1].fetch_add(1, Ordering::SeqCst);
    }
}

/// Is in a mood, and notes when it was called, by which attempt, and until when it asked to be left alone.
#[derive(Clone, Debug)]
struct Moody {
    random: Random,
    clock: TokioClock,
    retries: Arc<AtomicU32>,
    parked: Arc<Mutex<Tick>>,
}

impl Service<Request<ReplayBody<Full<Bytes>>>> for Moody {
    type Response = Response<Frames>;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Frames>, &'static str>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody<Full<Bytes>>>) -> Self::Future {
        let now = self.clock.now();
        let parked = *self.parked.lock().unwrap();
        assert!(parked <= now, "called at {now:?}, parked until {parked:?}");
        if request.extensions().get::<Attempt>().is_some() {
            self.retries.fetch_add(1, Ordering::SeqCst);
        }
        let moody = self.clone();
        Box::pin(async move {
            let body = request.into_body();
            if moody.random.up_to(1) == 1 {
                let body = body.collect().await.map_err(|_| "cut off")?;
                assert_eq!(body.to_bytes(), "a thing");
            }
            tokio::time::sleep(moody.random.duration_up_to(200 * MS)).await;
            match moody.random.up_to(9) {
                0 => std::future::pending().await,
                1 | 2 => Ok(answer(503)),
                3 => Err("broken pipe"),
                4 => {
                    let mut refused = answer(503);
                    LocalRefusal::new(Some(300 * MS)).mark(&mut refused);
                    Ok(refused)
                }
                5 => {
                    let now = moody.clock.now();
                    let mut parked = moody.parked.lock().unwrap();
                    *parked = (*parked).max(now.saturating_add(S));
                    Ok(too_many("1"))
                }
                6 => {
                    let frames = Frames::default().data("x").hangs();
                    Ok(with(answer(503), "content-type", "text/plain").map(|_| frames))
                }
                _ => Ok(answer(200)),
            }
        })
    }
}

/// What is paid for is what was sent; nobody calls who was asked not to; and nobody holds what others need when all is over.
#[tokio::test(start_paused = true)]
async fn whatever_happens_the_books_are_in_order() {
    let mut sent = 0;
    for seed in 0..50 {
        let random = Random::seeded(seed);
        let ledger = Ledger::default();
        let layer = RetryLayer::http()
            .attempt_timeout(400 * MS)
            .body_hints(Default::default(), 100 * MS)
            .budget(Budget::by(ledger.clone()))
            .random(random.clone())
            .build()
            .unwrap();
        let moody = Moody {
            random: random.clone(),
            clock: TokioClock::starting_now(),
            retries: Arc::default(),
            parked: Arc::default(),
        };
        let permits = GlobalConcurrencyLimitLayer::new(3);
        let mut crowd = JoinSet::new();
        for _ in 0..20 {
            let service = layer.layer(permits.layer(moody.clone()));
            let mut request = put("a thing");
            let timeout = RequestTimeout(random.duration_up_to(6 * S));
            request.extensions_mut().insert(timeout);
            let (comes, stays) = (random.duration_up_to(3 * S), random.duration_up_to(6 * S));
            let clock = moody.clock;
            crowd.spawn(async move {
                tokio::time::sleep(comes).await;
                let mut service = service;
                let call = async {
                    let ready = service.ready().await.unwrap();
                    let called = clock.now();
                    let answered = ready.call(request).await;
                    let took = clock.now().saturating_duration_since(called);
                    assert!(took <= timeout.0 + 2 * MS, "{took:?} of {timeout:?}");
                    answered
                };
                // Or leaves before it is answered.
                let _ = tokio::time::timeout(stays, call).await;
            });
        }
        crowd.join_all().await;
        let retries = moody.retries.load(Ordering::SeqCst);
        assert_eq!(ledger.spent(), retries, "seed {seed}");
        sent += retries;
        let mut others = [0; 3].map(|_| permits.layer(moody.clone()));
        for other in &mut others {
            let free = ServiceExt::<Request<ReplayBody<Full<Bytes>>>>::ready(other);
            let free = tokio::time::timeout(MS, free).await;
            assert!(free.is_ok(), "seed {seed}: somebody holds a permit");
        }
    }
    assert!(sent > 300, "{sent} retries were made");
}
