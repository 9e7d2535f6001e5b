//! What is given back while there are more keys than places: it goes where it was charged.

use std::{
    convert::Infallible,
    future::Future,
    net::Ipv4Addr,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::Duration,
};

use buttress_core::{Clock as _, clock::ManualClock};
use buttress_http::{ClientIp, Head};
use buttress_rate_limit::{
    AsResponse, FixedWindow, Pacing, Permit, Policy, Quota, RateLimitLayer, RateLimitLayerBuilder,
    RateLimiter, SlidingLog, SlidingWindow, TokenBucket,
};
use http::{Request, Response};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Handler, clock, from_peer, http};

const ALICE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// One whom nobody has seen before.
fn stranger(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, n)
}

/// A layer with four places, and permits of what it admits.
struct Crowded {
    layer: RateLimitLayer,
    permits: Arc<Mutex<Vec<Permit>>>,
}

impl Crowded {
    fn of(layer: RateLimitLayerBuilder<Head, AsResponse>, clock: &ManualClock) -> Self {
        let layer = layer.permits().max_keys(1).clock(clock.clone());
        Self {
            layer: layer.build().unwrap(),
            permits: Arc::default(),
        }
    }

    async fn ask(&self, peer: Ipv4Addr) -> u16 {
        let permits = Arc::clone(&self.permits);
        let handler = service_fn(move |request: Request<()>| {
            let permit = request.extensions().get::<Permit>().cloned();
            permits.lock().unwrap().extend(permit);
            async { Ok::<_, Infallible>(Response::new(String::new())) }
        });
        let answer = self.layer.layer(handler).oneshot(from_peer(peer)).await;
        answer.unwrap().status().as_u16()
    }

    /// As many strangers as take all places, and use up what the others share.
    async fn flood(&self) {
        for n in 0..20 {
            self.ask(stranger(n)).await;
        }
        assert_eq!(self.ask(stranger(20)).await, 429);
    }

    fn take_permits(&self) -> Vec<Permit> {
        std::mem::take(&mut *self.permits.lock().unwrap())
    }
}

fn policy() -> Policy {
    Policy::new("per-ip", "4/min").key(ClientIp::peer())
}

fn policies() -> [Policy; 4] {
    [
        policy(),
        policy().algorithm(SlidingWindow::of_sub_windows(6)),
        policy().quota_by(|_: &Head| None),
        policy().quota_by_lookup(|_: &Head| async { Quota::per_minute(4).build().ok() }),
    ]
}

/// Soon after, or so late that what the others hold looks as though it were of another time.
#[tokio::test]
async fn what_a_key_gives_back_that_was_forgotten_lifts_nobody_else() {
    for (policy, seconds) in policies()
        .into_iter()
        .flat_map(|policy| [(policy.clone(), 75), (policy, 180)])
    {
        for beside in [None, Some(Policy::new("all", "1000/s"))] {
            let clock = clock();
            let layer = beside
                .into_iter()
                .fold(http(policy.clone()), |layer, other| layer.policy(other));
            let crowded = Crowded::of(layer, &clock);
            for _ in 0..4 {
                assert_eq!(crowded.ask(ALICE).await, 200);
            }
            let hers = crowded.take_permits();
            // All is back, and so she is forgotten when others come.
            clock.advance(Duration::from_secs(seconds));
            crowded.flood().await;
            for permit in hers {
                assert!(permit.refund());
            }
            assert_eq!(crowded.ask(stranger(21)).await, 429, "{policy:?}");
        }
    }
}

#[tokio::test]
async fn what_the_shared_bucket_was_charged_it_gets_back() {
    for policy in policies() {
        let clock = clock();
        let crowded = Crowded::of(http(policy.clone()), &clock);
        crowded.flood().await;
        // The last of those who were admitted had no place.
        let shared = crowded.take_permits().pop().unwrap();
        assert!(shared.refund());
        assert_eq!(crowded.ask(stranger(21)).await, 200, "{policy:?}");
        assert_eq!(crowded.ask(stranger(22)).await, 429, "{policy:?}");
    }
}

/// What it turns out to have cost beyond that is charged to where the key stands by then: with the others, where it was
/// forgotten and has no place.
#[tokio::test]
async fn what_a_key_is_charged_afterwards_goes_to_where_it_stands() {
    for policy in policies() {
        let clock = clock();
        let crowded = Crowded::of(http(policy.clone()), &clock);
        assert_eq!(crowded.ask(ALICE).await, 200);
        let hers = crowded.take_permits().pop().unwrap();
        clock.advance(Duration::from_secs(180));
        for n in 0..4 {
            assert_eq!(crowded.ask(stranger(n)).await, 200);
        }
        assert!(hers.settle(5));
        assert_eq!(crowded.ask(stranger(5)).await, 429, "{policy:?}");

        // And with itself, where it has got one.
        clock.advance(Duration::from_secs(180));
        crowded.take_permits();
        crowded.flood().await;
        let shared = crowded.take_permits().pop().unwrap();
        clock.advance(Duration::from_secs(180));
        // The eighth: four had places, and four of those without were admitted.
        assert_eq!(crowded.ask(stranger(7)).await, 200);
        assert!(shared.settle(4));
        assert_eq!(crowded.ask(stranger(7)).await, 429, "{policy:?}");
    }
}

/// Layers with four places, and a bucket for the others in which who is too early waits: alone, beside another policy, and with
/// permits.
fn paces(quota: &str, longest_wait: Duration) -> [RateLimitLayer; 3] {
    let pace = Policy::new("pace", quota)
        .key(ClientIp::peer())
        .algorithm(Pacing::up_to(longest_wait));
    let layer = || http(pace.clone());
    let layers = [
        layer(),
        layer().policy(Policy::new("all", "1000/s")),
        layer().permits(),
    ];
    layers.map(|layer| layer.max_keys(1).build().unwrap())
}

/// What a stranger is answered, in the end.
fn status(layer: &RateLimitLayer, n: u8) -> Pin<Box<dyn Future<Output = u16>>> {
    let answer = layer.layer(Handler::default().service());
    let answer = answer.oneshot(from_peer(stranger(n)));
    Box::pin(async { answer.await.unwrap().status().as_u16() })
}

/// Who waits for a turn in the bucket that is shared, and gives up, gives the turn back to those who share it.
#[tokio::test(start_paused = true)]
async fn a_turn_in_the_shared_bucket_goes_back_to_it() {
    for layer in paces("1/s burst 1", Duration::from_secs(2)) {
        let call = |n| status(&layer, n);
        for n in 0..5 {
            assert_eq!(call(n).await, 200);
        }
        let context = &mut Context::from_waker(Waker::noop());
        let (mut second, mut third) = (call(5), call(6));
        assert!(second.as_mut().poll(context).is_pending());
        assert!(third.as_mut().poll(context).is_pending());
        assert_eq!(call(7).await, 429);
        tokio::time::advance(Duration::from_millis(1_500)).await;
        drop((second, third));
        // Places are free again, for four; and the turns that nobody took are the next ones'.
        for n in 8..13 {
            assert!(call(n).as_mut().poll(context).is_ready(), "{n}");
        }
    }
}

/// Whatever became of the places while it waited: that it has one of its own by now, or that those of others were used
/// since.
#[tokio::test(start_paused = true)]
async fn a_turn_in_the_shared_bucket_goes_back_to_it_however_late() {
    for layer in paces("1/min burst 1", Duration::from_secs(3_600)) {
        let call = |n| status(&layer, n);
        for n in 0..5 {
            assert_eq!(call(n).await, 200);
        }
        let context = &mut Context::from_waker(Waker::noop());
        let mut waiting = [call(5), call(6), call(7), call(8), call(9)];
        for waiting in &mut waiting {
            assert!(waiting.as_mut().poll(context).is_pending());
        }
        tokio::time::advance(Duration::from_secs(200)).await;
        for n in [0, 1, 2, 5] {
            assert!(call(n).as_mut().poll(context).is_ready(), "{n}");
        }
        drop(waiting);
        assert!(call(10).as_mut().poll(context).is_ready());
        assert!(call(5).as_mut().poll(context).is_pending());
    }
}

#[tokio::test(start_paused = true)]
async fn and_so_does_one_of_the_handles() {
    let pace = RateLimiter::per_key("1/s burst 1")
        .algorithm(Pacing::up_to(Duration::from_secs(2)))
        .max_keys(1)
        .build()
        .unwrap();
    for n in 0..5 {
        assert!(pace.until_ready(&n).await.unwrap().delay().is_zero());
    }
    let context = &mut Context::from_waker(Waker::noop());
    {
        let mut second = pin!(pace.until_ready(&5));
        let mut third = pin!(pace.until_ready(&6));
        assert!(second.as_mut().poll(context).is_pending());
        assert!(third.as_mut().poll(context).is_pending());
        tokio::time::advance(Duration::from_millis(1_500)).await;
    }
    // Places are free again, for four.
    for n in 8..12 {
        assert!(pace.until_ready(&n).await.unwrap().delay().is_zero());
    }
    assert!(pace.check(&12).unwrap().delay().is_zero());
}

/// What was written before a clock stepped back decides as though it never was, and makes room as though it never was.
#[tokio::test]
async fn a_clock_that_steps_back_leaves_room_for_others() {
    let others = [
        policy().algorithm(FixedWindow),
        policy().algorithm(Pacing::up_to(Duration::ZERO)),
        policy().algorithm(TokenBucket::refilled_at_intervals()),
        policy().algorithm(SlidingLog::for_counts_up_to(9)),
    ];
    for policy in policies().into_iter().chain(others) {
        let clock = clock();
        let before = clock.now();
        let crowded = Crowded {
            layer: http(policy.clone())
                .permits()
                .max_keys(1)
                .clock(clock.clone())
                .build()
                .unwrap(),
            permits: Arc::default(),
        };
        clock.advance(Duration::from_secs(86_400));
        crowded.flood().await;
        clock.set(before);
        for n in 30..34 {
            for _ in 0..4 {
                assert_eq!(crowded.ask(stranger(n)).await, 200, "{n}: {policy:?}");
            }
            assert_eq!(crowded.ask(stranger(n)).await, 429, "{n}: {policy:?}");
        }
    }
}

/// By less than the quota of who comes then, and by more than that of those who have the places.
#[tokio::test]
async fn a_clock_that_steps_back_leaves_room_for_who_has_a_longer_quota() {
    let by_newcomers = |head: &Head| {
        let peer = ClientIp::peer().of(head).ok()?;
        (peer >= stranger(30)).then(|| "4/h".parse().unwrap())
    };
    for algorithm in [None, Some(SlidingWindow::of_sub_windows(6))] {
        let policy = policy().quota_by(by_newcomers);
        let policy = match algorithm {
            Some(algorithm) => policy.algorithm(algorithm),
            None => policy,
        };
        let clock = clock();
        let before = clock.now();
        let crowded = Crowded::of(http(policy.clone()), &clock);
        clock.advance(Duration::from_secs(1_800));
        crowded.flood().await;
        clock.set(before);
        for n in 30..34 {
            for expected in [200, 200, 200, 200, 429] {
                assert_eq!(crowded.ask(stranger(n)).await, expected, "{n}: {policy:?}");
            }
        }
    }
}
