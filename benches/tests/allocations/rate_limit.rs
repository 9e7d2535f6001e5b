//! Rate limits.

use std::{
    future::{poll_fn, ready},
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
    time::Duration,
};

use buttress_benches::keys;
use buttress_http::{ClientIp, FieldStyle, Head};
use buttress_rate_limit::{
    Algorithm, DirectRateLimiter, FixedWindow, LeakyBucket, Pacing, Policy, Quota, QuotaBuilder,
    RateLimitLayer, RateLimiter, SlidingLog, SlidingWindow, TokenBucket,
};
use http::StatusCode;
use tower::Layer as _;

use crate::{
    counter::allocations,
    service::{per_request, service},
};

/// Known keys, new keys, and keys that are refused: the room for all was made when the handle was.
#[test]
fn a_handle_does_not_allocate() {
    let keyed = RateLimiter::per_key(Quota::per_minute(2))
        .max_keys(1_000)
        .build()
        .unwrap();
    let text = keys::text(7);
    let of_keyed = allocations(|| {
        for n in 0..5_000 {
            let _ = keyed.check(&keys::ip(n % 2_000));
            let _ = keyed.check(&text);
        }
    });
    let direct = DirectRateLimiter::of(Quota::per_minute(2)).unwrap();
    let of_direct = allocations(|| {
        for _ in 0..100 {
            let _ = direct.check();
        }
    });
    assert_eq!((of_keyed, of_direct), (0, 0));
}

/// Nor with any of the other algorithms, whose states may be of several words.
#[test]
fn no_algorithm_allocates() {
    let algorithms: [fn() -> Box<dyn Algorithm>; 6] = [
        || Box::new(TokenBucket::refilled_at_intervals()),
        || Box::new(LeakyBucket::as_queue()),
        || Box::new(Pacing::up_to(Duration::ZERO)),
        || Box::new(FixedWindow),
        || Box::new(SlidingWindow::of_sub_windows(10)),
        || Box::new(SlidingLog::for_counts_up_to(2)),
    ];
    for algorithm in algorithms {
        let keyed = RateLimiter::per_key(Quota::per_minute(2)).max_keys(1_000);
        let keyed = keyed.algorithm(algorithm()).build().unwrap();
        let direct = DirectRateLimiter::builder(Quota::per_minute(2));
        let direct = direct.algorithm(algorithm()).build().unwrap();
        let allocations = allocations(|| {
            for n in 0..5_000 {
                let _ = keyed.check(&keys::ip(n % 2_000));
                let _ = keyed.peek(&keys::ip(n % 3_000));
                let _ = direct.check();
                let _ = direct.peek();
                direct.refund(1);
            }
        });
        assert_eq!(allocations, 0, "{keyed:?}");
    }
}

#[test]
fn a_layer_without_fields_does_not_allocate() {
    let bare = per_request(service(), StatusCode::OK);
    let layer = layer(Quota::per_second(1_000_000), FieldStyle::None);
    let limited = per_request(layer.layer(service()), StatusCode::OK);
    assert_eq!(limited - bare, 0);
}

/// Nor where the quota comes by request, also while the key goes to and fro between two.
#[test]
fn a_quota_by_request_does_not_allocate() {
    let bare = per_request(service(), StatusCode::OK);
    let turn = AtomicUsize::new(0);
    let quotas = [Quota::per_second(1_000_000), Quota::per_minute(1_000_000)];
    let quotas = quotas.map(|quota| quota.build().unwrap());
    let by_turns = move |_: &Head| {
        let nth = turn.fetch_add(1, Ordering::Relaxed);
        quotas.get(nth % 2).copied()
    };
    let policy = Policy::new("per-ip", "10/s").key(ClientIp::peer());
    let layer = RateLimitLayer::http(policy.quota_by(by_turns))
        .fields(FieldStyle::None)
        .build()
        .unwrap();
    let limited = per_request(layer.layer(service()), StatusCode::OK);
    assert_eq!(limited - bare, 0);
}

/// One box, in which the user's future lies, however large it is and however often it is polled.
#[test]
fn a_quota_that_is_looked_up_costs_one_allocation() {
    let at_once = policy("at once").quota_by_lookup(|_: &Head| ready(wide()));
    let by_the_policy = policy("by the policy").quota_by_lookup(|_: &Head| ready(None));
    let pending_once = policy("pending once").quota_by_lookup(|_: &Head| async {
        yield_now().await;
        wide()
    });
    let large = policy("large").quota_by_lookup(|_: &Head| async {
        let kept = black_box([7_u8; 4_096]);
        yield_now().await;
        black_box(kept);
        wide()
    });
    for looked_up in [&at_once, &by_the_policy, &pending_once, &large] {
        assert_eq!(of_policies([looked_up.clone()]), 1, "{looked_up:?}");
        // Nor do the others beside it cost anything.
        let others = ["a", "b", "c"].map(policy);
        assert_eq!(
            of_policies([looked_up.clone()].into_iter().chain(others)),
            1,
            "{looked_up:?}"
        );
    }
    // Each has a box of its own.
    assert_eq!(of_policies([at_once, pending_once, policy("a"), large]), 3);
}

fn policy(name: &str) -> Policy {
    Policy::new(name, "1000000/s").key(ClientIp::peer())
}

fn wide() -> Option<Quota> {
    Quota::per_minute(1_000_000).build().ok()
}

/// What a layer of these policies allocates for a request.
fn of_policies(policies: impl IntoIterator<Item = Policy>) -> usize {
    let mut policies = policies.into_iter();
    let first = RateLimitLayer::http(policies.next().unwrap());
    let layer = policies.fold(first, |layer, policy| layer.policy(policy));
    let layer = layer.fields(FieldStyle::None).build().unwrap();
    let bare = per_request(service(), StatusCode::OK);
    per_request(layer.layer(service()), StatusCode::OK) - bare
}

/// Pending once.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|_| match std::mem::replace(&mut yielded, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// The table of the header map, its entries, and one value: what varies. The other one is shared.
#[test]
fn fields_cost_their_place_and_what_varies() {
    let bare = per_request(service(), StatusCode::OK);
    let layer = layer(Quota::per_second(1_000_000), FieldStyle::Draft11);
    let limited = per_request(layer.layer(service()), StatusCode::OK);
    assert!(limited - bare <= 4, "{} allocations", limited - bare);
}

/// As above, `Retry-After`, and the mark for the layers further out. The body is shared.
#[test]
fn a_refusal_costs_a_few_allocations() {
    let bare = per_request(service(), StatusCode::OK);
    let layer = layer(Quota::per_day(1), FieldStyle::Draft11);
    let refused = per_request(layer.layer(service()), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused - bare <= 9, "{} allocations", refused - bare);
}

fn layer(quota: QuotaBuilder, style: FieldStyle) -> RateLimitLayer {
    RateLimitLayer::http(Policy::new("per-ip", quota).key(ClientIp::peer()))
        .fields(style)
        .build()
        .unwrap()
}
