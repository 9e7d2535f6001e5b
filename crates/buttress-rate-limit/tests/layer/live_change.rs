//! A policy's quota is changed while the layer is in use. R9 of the traps.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use buttress_core::{Observer, clock::ManualClock};
use buttress_http::{ClientIp, Head};
use buttress_rate_limit::{
    Event, FixedWindow, Pacing, Permit, Policy, Quota, RateLimitLayer, SlidingLog, SlidingWindow,
};
use tower::{Layer as _, ServiceExt as _};

use crate::support::{Handler, clock, from_peer, http, send};

const ALICE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const BOB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

fn per_ip(quota: &str) -> Policy {
    Policy::new("per-ip", quota).key(ClientIp::peer())
}

fn layer(policy: Policy, clock: &ManualClock) -> RateLimitLayer {
    http(policy).clock(clock.clone()).build().unwrap()
}

async fn statuses(layer: &RateLimitLayer, peer: Ipv4Addr, requests: usize) -> Vec<u16> {
    let (handler, mut statuses) = (Handler::default(), Vec::new());
    for _ in 0..requests {
        statuses.push(send(layer, &handler, from_peer(peer)).await.status);
    }
    statuses
}

fn admitted(statuses: &[u16]) -> usize {
    statuses.iter().filter(|&&status| status == 200).count()
}

#[tokio::test]
async fn every_key_keeps_what_it_has_used_in_proportion() {
    let policies = [
        per_ip("10/h"),
        per_ip("10/h").algorithm(FixedWindow),
        per_ip("10/h").algorithm(SlidingWindow::of_sub_windows(10)),
        per_ip("10/h").algorithm(SlidingLog::for_counts_up_to(20)),
    ];
    for policy in policies {
        let layer = layer(policy, &clock());
        assert_eq!(admitted(&statuses(&layer, ALICE, 5).await), 5);
        assert_eq!(admitted(&statuses(&layer, BOB, 12).await), 10);
        layer.limit("per-ip").unwrap().set_quota("20/h").unwrap();
        assert_eq!(admitted(&statuses(&layer, BOB, 3).await), 0);
        assert_eq!(admitted(&statuses(&layer, ALICE, 20).await), 10);
        let stranger = statuses(&layer, Ipv4Addr::LOCALHOST, 30).await;
        assert_eq!(admitted(&stranger), 20);
    }
}

/// As much as that says of what was used the word does not hold that lies beside whose a window's state is.
#[tokio::test]
async fn a_window_may_become_much_longer() {
    let policy = per_ip("10/s").algorithm(SlidingWindow::of_sub_windows(10));
    let layer = layer(policy, &clock());
    assert_eq!(admitted(&statuses(&layer, ALICE, 1).await), 1);
    layer.limit("per-ip").unwrap().set_quota("10/h").unwrap();
    for (peer, left) in [(ALICE, 9), (BOB, 10)] {
        assert_eq!(admitted(&statuses(&layer, peer, 30).await), left);
    }
}

#[tokio::test]
async fn a_request_is_read_once_also_after_a_change() {
    let policy = |name: &str, asked: &Arc<AtomicUsize>| {
        let asked = Arc::clone(asked);
        let cost = move |_: &Head| {
            asked.fetch_add(1, Ordering::Relaxed);
            1
        };
        Policy::new(name, "10/h").key(ClientIp::peer()).cost(cost)
    };
    for others in [0, 2] {
        let asked = Arc::new(AtomicUsize::new(0));
        let mut builder = http(policy("per-ip", &asked)).clock(clock());
        for name in ["second", "third"].into_iter().take(others) {
            builder = builder.policy(policy(name, &asked));
        }
        let layer = builder.build().unwrap();
        assert_eq!(admitted(&statuses(&layer, ALICE, 2).await), 2);
        layer.limit("per-ip").unwrap().set_quota("20/h").unwrap();
        assert_eq!(admitted(&statuses(&layer, ALICE, 3).await), 3);
        assert_eq!(asked.load(Ordering::Relaxed), 5 * (1 + others));
    }
}

#[tokio::test]
async fn the_fields_tell_the_quota_that_is_in_force() {
    let (handler, layer) = (Handler::default(), layer(per_ip("10/h"), &clock()));
    let answer = send(&layer, &handler, from_peer(ALICE)).await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""per-ip";q=10;w=3600"#)
    );
    layer.limit("per-ip").unwrap().set_quota("100/min").unwrap();
    let answer = send(&layer, &handler, from_peer(ALICE)).await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""per-ip";q=100;w=60"#)
    );
    assert_eq!(answer.header("ratelimit"), Some(r#""per-ip";r=89;t=7"#));
}

#[tokio::test]
async fn a_quota_that_cannot_be_leaves_the_old_one_in_force() {
    let layer = layer(per_ip("10/h").algorithm(FixedWindow), &clock());
    let limit = layer.limit("per-ip").unwrap();
    for (bad, field) in [
        ("0/h", "count"),
        ("10/h burst 3", "burst"),
        ("often", "quota"),
    ] {
        assert_eq!(limit.set_quota(bad).unwrap_err().field(), field);
        assert_eq!(limit.quota(), "10/h".parse().unwrap());
    }
    assert!(layer.limit("nobody").is_none());
    assert_eq!(admitted(&statuses(&layer, ALICE, 12).await), 10);
}

#[tokio::test]
async fn too_many_changes_at_once_are_an_error_and_later_ones_are_not() {
    let clock = clock();
    let layer = layer(per_ip("10/h"), &clock);
    let limit = layer.limit("per-ip").unwrap();
    assert_eq!(admitted(&statuses(&layer, ALICE, 5).await), 5);
    let quota = |nth: u64| Quota::per_hour(10 * (1 + nth % 2));
    for nth in 1..=255 {
        limit.set_quota(quota(nth)).unwrap();
    }
    assert_eq!(limit.set_quota(quota(256)).unwrap_err().field(), "quota");
    assert_eq!(limit.quota().count(), 20);
    // Not one request was gained by them.
    assert_eq!(admitted(&statuses(&layer, ALICE, 20).await), 10);
    // After a debt's time nothing of the first one says anything more.
    clock.advance(Duration::from_secs(2 * 3_600 + 61));
    limit.set_quota(quota(256)).unwrap();
    assert_eq!(admitted(&statuses(&layer, ALICE, 20).await), 10);
}

/// Whoever reads a configuration again need not compare.
#[tokio::test]
async fn the_same_quota_is_no_change() {
    let layer = layer(per_ip("10/h"), &clock());
    for _ in 0..300 {
        layer.limit("per-ip").unwrap().set_quota("10/h").unwrap();
    }
    assert_eq!(admitted(&statuses(&layer, ALICE, 12).await), 10);
}

#[tokio::test]
async fn what_was_charged_before_is_settled_in_proportion() {
    let permits = Arc::new(Mutex::new(Vec::<Permit>::new()));
    let taken = Arc::clone(&permits);
    let layer = http(per_ip("10/h"))
        .permits()
        .clock(clock())
        .build()
        .unwrap();
    let handler = tower::service_fn(move |request: ::http::Request<()>| {
        taken
            .lock()
            .unwrap()
            .push(request.extensions().get::<Permit>().unwrap().clone());
        async { Ok::<_, std::convert::Infallible>(::http::Response::new(String::new())) }
    });
    for _ in 0..4 {
        let answered = layer.layer(handler.clone()).oneshot(from_peer(ALICE)).await;
        assert_eq!(answered.unwrap().status(), 200);
    }
    layer.limit("per-ip").unwrap().set_quota("30/min").unwrap();
    for permit in permits.lock().unwrap().iter().take(2) {
        assert!(permit.refund());
    }
    // Two of ten are used still, which are six of thirty.
    assert_eq!(admitted(&statuses(&layer, ALICE, 40).await), 24);
}

/// A tier that was resolved for a request is not the policy's to change.
#[tokio::test]
async fn quotas_by_request_stay_as_they_are() {
    let gold = |head: &Head| {
        let gold = head.headers().contains_key("x-gold");
        gold.then(|| "100/h".parse().unwrap())
    };
    let layer = layer(per_ip("10/h").quota_by(gold), &clock());
    let handler = Handler::default();
    let request = || {
        let mut request = from_peer(ALICE);
        let value = ::http::HeaderValue::from_static("1");
        request.headers_mut().insert("x-gold", value);
        request
    };
    for _ in 0..60 {
        assert_eq!(send(&layer, &handler, request()).await.status, 200);
    }
    layer.limit("per-ip").unwrap().set_quota("10/s").unwrap();
    let answer = send(&layer, &handler, request()).await;
    assert_eq!(answer.header("ratelimit"), Some(r#""per-ip";r=39;t=2196"#));
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Observer<Event<'_>> for Heard {
    fn observe(&self, event: &Event<'_>) {
        if let Event::UnsupportedQuota { limit, error, .. } = event {
            let heard = format!("{limit}: {}", error.field());
            self.0.lock().unwrap().push(heard);
        }
    }
}

/// A quota from a lookup that the algorithm cannot keep is not kept: the policy's own is, and somebody is told.
#[tokio::test]
async fn a_quota_by_request_that_is_not_supported_leaves_the_policys_own() {
    let wrong = || "100/h burst 7".parse::<Quota>().ok();
    let policies = [
        per_ip("2/h").quota_by(move |_| wrong()),
        per_ip("2/h").quota_by_lookup(move |_| async move { wrong() }),
    ];
    for policy in policies {
        let heard = Heard::default();
        let layer = http(policy.algorithm(SlidingWindow::of_sub_windows(2)))
            .clock(clock())
            .observer(heard.clone())
            .build()
            .unwrap();
        assert_eq!(statuses(&layer, ALICE, 3).await, [200, 200, 429]);
        assert_eq!(*heard.0.lock().unwrap(), ["per-ip: burst"; 3]);
    }
}

/// Those who wait keep their turns; who comes after the change waits at the new pace.
#[tokio::test(start_paused = true)]
async fn those_who_wait_keep_their_turns() {
    let policy =
        Policy::new("pace", "1/s burst 1").algorithm(Pacing::up_to(Duration::from_secs(60)));
    let layer = RateLimitLayer::http(policy).build().unwrap();
    let handler = Handler::default();
    let mut waiting: Vec<_> = (0..4)
        .map(|_| {
            let mut service = layer.layer(handler.service());
            call(&mut service)
        })
        .collect();
    let mut turns = tokio::task::JoinSet::new();
    for call in waiting.drain(..) {
        turns.spawn(call);
    }
    tokio::task::yield_now().await;
    layer
        .limit("pace")
        .unwrap()
        .set_quota("10/s burst 1")
        .unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(handler.calls(), 3, "the turns of 0, 1 and 2 seconds");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(handler.calls(), 4);
    while let Some(answered) = turns.join_next().await {
        assert_eq!(answered.unwrap(), 200);
    }
}

/// Calls it at once, as the place is reserved then.
fn call<S, B>(service: &mut S) -> impl Future<Output = u16> + Send + use<S, B>
where
    S: tower::Service<
            ::http::Request<()>,
            Response = ::http::Response<B>,
            Error = std::convert::Infallible,
            Future: Send + 'static,
        >,
{
    let call = service.call(from_peer(ALICE));
    async move { call.await.unwrap().status().as_u16() }
}

/// A policy that is tried out is tuned as others are.
#[tokio::test]
async fn the_quota_of_a_shadow_can_be_changed() {
    let refused = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&refused);
    let observer = move |event: &Event<'_>| {
        if let Event::WouldRefuse { limit: "tried", .. } = event {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    };
    let layer = http(per_ip("100/h"))
        .policy(Policy::new("tried", "10/h").shadow())
        .observer(observer)
        .clock(clock())
        .build()
        .unwrap();
    statuses(&layer, ALICE, 10).await;
    assert_eq!(refused.load(Ordering::SeqCst), 0);
    let tried = layer.limit("tried").unwrap();
    tried.set_quota("20/h").unwrap();
    statuses(&layer, ALICE, 1).await;
    assert_eq!(refused.load(Ordering::SeqCst), 1, "all of it is used");
    assert_eq!(tried.quota().count(), 20);
    assert_eq!(layer.limits().len(), 1, "of those that are enforced");
    assert!(layer.limit("nobody").is_none());
}
