//! An algorithm of somebody's own, and what a layer makes of one that changes its mind.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use buttress_core::{DigestKey, Tick};
use buttress_rate_limit::{Algorithm, Decision, Overflow, Permit, Policy, Quota, RateLimiter};
use http::{Request, Response};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Handler, clock, from_peer, http, send};

const HOUR: Duration = Duration::from_secs(3_600);

/// So many for ever: the word is what was used, above a bit that says that anything was.
#[derive(Debug)]
struct Lifetime;

impl Algorithm for Lifetime {
    fn words(&self) -> usize {
        1
    }

    fn check(&self, quota: &Quota, state: &[u64], _: Tick, cost: u64) -> Decision {
        let left = quota.burst().saturating_sub(state[0] >> 1);
        if cost <= left {
            Decision::admitted(left - cost, Duration::ZERO, HOUR)
        } else {
            Decision::refused(left, HOUR, HOUR, HOUR)
        }
    }

    fn charge(&self, _: &Quota, state: &mut [u64], _: Tick, cost: i64) {
        let used = (state[0] >> 1).saturating_add_signed(cost);
        if used > 0 || state[0] != 0 {
            state[0] = used << 1 | 1;
        }
    }

    fn forget_at(&self, _: &Quota, state: &[u64]) -> Tick {
        if state[0] == 0 { Tick::ZERO } else { Tick::MAX }
    }
}

#[tokio::test]
async fn decides_is_charged_and_is_settled() {
    let clock = clock();
    let layer = http(Policy::new("all", "9/s burst 3").algorithm(Lifetime))
        .permits()
        .clock(clock.clone())
        .build()
        .unwrap();
    let send = |refund: bool| {
        let handler = service_fn(move |request: Request<()>| async move {
            if refund {
                request.extensions().get::<Permit>().unwrap().refund();
            }
            Ok::<_, std::convert::Infallible>(Response::new(String::new()))
        });
        let call = layer.layer(handler).oneshot(from_peer(Ipv4Addr::LOCALHOST));
        async { call.await.unwrap().status().as_u16() }
    };
    for (refund, status) in [
        (false, 200),
        (true, 200),
        (true, 200),
        (false, 200),
        (false, 200),
        (false, 429),
    ] {
        assert_eq!(send(refund).await, status);
        clock.advance(HOUR);
    }

    let limiter = RateLimiter::per_key("9/s burst 3")
        .algorithm(Lifetime)
        .clock(clock.clone())
        .build()
        .unwrap();
    assert_eq!(limiter.check_n("alice", 2).unwrap().remaining(), 1);
    clock.advance(HOUR);
    assert_eq!(
        limiter.peek("alice").remaining(),
        0,
        "by the same algorithm"
    );
    limiter.refund("alice", 1);
    assert_eq!(limiter.check_n("alice", 2).unwrap().remaining(), 0);
}

/// Admits when it is looked at and refuses when it is charged: as if another thread had come between.
#[derive(Clone, Debug, Default)]
struct Outrun {
    looks: Arc<AtomicUsize>,
    /// Whether nobody comes between, for now.
    alone: Arc<AtomicBool>,
}

impl Algorithm for Outrun {
    fn words(&self) -> usize {
        1
    }

    fn check(&self, _: &Quota, _: &[u64], _: Tick, cost: u64) -> Decision {
        let alone = self.alone.load(Ordering::SeqCst);
        if cost == 0 || alone || self.looks.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            Decision::admitted(0, HOUR, HOUR)
        } else {
            Decision::refused(0, HOUR, HOUR, HOUR)
        }
    }

    fn charge(&self, _: &Quota, _: &mut [u64], _: Tick, _: i64) {}

    fn forget_at(&self, _: &Quota, _: &[u64]) -> Tick {
        Tick::ZERO
    }
}

/// R8 of the traps, when it is lost on the way: what was charged before is taken back, the one that
/// refused is named, and the others are told as they stood.
#[tokio::test]
async fn who_is_outrun_charges_nobody() {
    let handler = Handler::default();
    let layer = http(Policy::new("first", "5/h"))
        .policy(Policy::new("outrun", "1/h").algorithm(Outrun::default()))
        .clock(clock())
        .build()
        .unwrap();
    for _ in 0..9 {
        let refused = send(&layer, &handler, from_peer(Ipv4Addr::LOCALHOST)).await;
        assert_eq!(refused.status, 429);
        let problem: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(problem["violated-policies"], serde_json::json!(["outrun"]));
        assert!(
            refused
                .header("ratelimit")
                .unwrap()
                .starts_with(r#""first";r=5;t=0, "outrun";r=0;"#),
            "{refused:?}"
        );
        assert_eq!(refused.header("retry-after"), Some("3600"));
    }
    assert_eq!(handler.calls(), 0);
}

/// And those without a place of their own have back what their bucket was charged.
#[tokio::test]
async fn who_is_outrun_without_a_place_charges_nobody_either() {
    let outrun = Outrun::default();
    let per_ip = Policy::new("per-ip", "200/h").key(buttress_http::ClientIp::peer());
    let layer = http(per_ip)
        .policy(Policy::new("outrun", "1/h").algorithm(outrun.clone()))
        .max_keys(1)
        .clock(clock())
        .build()
        .unwrap();
    let send = async |n| send(&layer, &Handler::default(), from_peer([10, 0, 0, n])).await;
    outrun.alone.store(true, Ordering::SeqCst);
    for n in 0..50 {
        assert_eq!(send(n).await.status, 200);
    }
    outrun.alone.store(false, Ordering::SeqCst);
    for n in 50..60 {
        assert_eq!(send(n).await.status, 429);
    }
    outrun.alone.store(true, Ordering::SeqCst);
    let answer = send(60).await;
    // Four have places of their own.
    let told = answer.header("ratelimit").unwrap();
    assert!(told.starts_with(r#""per-ip";r=153;"#), "{told}");
}

#[tokio::test]
async fn a_policy_decides_what_becomes_of_keys_without_room() {
    for (overflow, admitted) in [(Overflow::Admit, 50), (Overflow::Refuse, 0)] {
        let handler = Handler::default();
        let layer = http(
            Policy::new("per-ip", "1/h")
                .key(buttress_http::ClientIp::peer())
                .overflow(overflow),
        )
        .max_keys(1)
        .clock(clock())
        .build()
        .unwrap();
        for n in 0..50 {
            send(&layer, &handler, from_peer([10, 0, 0, n])).await;
        }
        let before = handler.calls();
        for n in 0..50 {
            send(&layer, &handler, from_peer([10, 0, 1, n])).await;
        }
        assert_eq!(handler.calls() - before, admitted, "{overflow:?}");
    }
}

/// Two limiters under one secret agree on who is who, as two processes with one store have to.
#[test]
fn a_shared_secret_makes_shared_digests() {
    let (one, two) = (DigestKey::from_words(1, 2), DigestKey::from_words(1, 2));
    let digest = |secret: &DigestKey| secret.digest("alice");
    assert_eq!(digest(&one), digest(&two));
    assert_ne!(digest(&one), digest(&DigestKey::random()));
}
