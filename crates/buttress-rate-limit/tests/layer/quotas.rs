//! Quotas that come by request: tiers, and what a change of them is worth.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use buttress_http::{Head, keys};
use buttress_rate_limit::{Policy, Quota};

use crate::support::{Handler, by_tier, clock, http, send, with};

#[tokio::test]
async fn a_request_can_have_a_quota_of_its_own() {
    let handler = Handler::default();
    let tenant = || keys::Header::named("x-tenant").unwrap();
    let layer = http(
        Policy::new("per-tenant", "1/h")
            .key(tenant())
            .quota_by(by_tier),
    )
    .policy(Policy::new("all", "1000/d"))
    .clock(clock())
    .build()
    .unwrap();
    let gold = || with(&[("x-tenant", "acme"), ("x-tier", "gold")]);
    let silver = || with(&[("x-tenant", "umbrella"), ("x-tier", "silver")]);
    let other = || with(&[("x-tenant", "initech")]);

    let answer = send(&layer, &handler, gold()).await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""per-tenant";q=100;w=3600, "all";q=1000;w=86400"#)
    );
    assert_eq!(
        answer.header("ratelimit"),
        Some(r#""per-tenant";r=99;t=36, "all";r=999;t=87"#)
    );

    let mut statuses = Vec::new();
    for request in [silver(), silver(), silver(), other(), other(), gold()] {
        statuses.push(send(&layer, &handler, request).await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 200, 429, 200]);
    let refused = send(&layer, &handler, silver()).await;
    assert_eq!(refused.header("retry-after"), Some("900"));
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some(r#""per-tenant";q=2;w=1800, "all";q=1000;w=86400"#)
    );
}

/// R9 of the traps: whoever is moved to another tier does not get a fresh burst by it, nor is locked out: what was
/// used is the same share of the new quota, and comes back at the new pace.
#[tokio::test]
async fn a_change_of_quota_grants_no_fresh_burst() {
    for (to, after) in [("100/h", 36), ("100/min", 1), ("4/d", 6 * 3_600)] {
        let (handler, clock) = (Handler::default(), clock());
        let quota = Arc::new(Mutex::new("10/h"));
        let current = Arc::clone(&quota);
        let layer = http(
            Policy::new("all", "10/h").quota_by(move |_| current.lock().unwrap().parse().ok()),
        )
        .clock(clock.clone())
        .build()
        .unwrap();
        for _ in 0..10 {
            assert_eq!(send(&layer, &handler, with(&[])).await.status, 200);
        }
        *quota.lock().unwrap() = to;
        let refused = send(&layer, &handler, with(&[])).await;
        assert_eq!(refused.status, 429, "all of it is used, of {to} too");
        assert_eq!(refused.header("retry-after"), Some(&*after.to_string()));
        clock.advance(Duration::from_secs(after) - Duration::from_millis(500));
        let statuses = [
            send(&layer, &handler, with(&[])).await.status,
            {
                clock.advance(Duration::from_millis(500));
                send(&layer, &handler, with(&[])).await.status
            },
            send(&layer, &handler, with(&[])).await.status,
        ];
        assert_eq!(statuses, [429, 200, 429], "{to}");
    }
}

/// And to and fro, as often as anybody likes.
#[tokio::test]
async fn going_to_and_fro_between_quotas_gains_nothing() {
    let (handler, clock) = (Handler::default(), clock());
    let layer = http(Policy::new("all", "10/h").quota_by(by_tier))
        .clock(clock.clone())
        .build()
        .unwrap();
    let (mut own, mut gold) = (0, 0);
    for _ in 0..50 {
        let answer = send(&layer, &handler, with(&[])).await;
        own += u32::from(answer.status == 200);
        let answer = send(&layer, &handler, with(&[("x-tier", "minute")])).await;
        gold += u32::from(answer.status == 200);
    }
    // Each is a tenth of the one, or a hundredth of the other: together one burst.
    assert_eq!((own, gold), (9, 10));
}

/// Of two ways to a quota the one that was given last holds.
#[tokio::test]
async fn a_policy_has_one_way_to_its_quotas() {
    let all = || Policy::new("all", "1/h");
    let here = |_: &Head| "5/h".parse::<Quota>().ok();
    let there = |_: &Head| async { "3/h".parse::<Quota>().ok() };
    let nowhere = |_: &Head| async { None };
    for (policy, told) in [
        (all().quota_by_lookup(there).quota_by(here), 5),
        (all().quota_by(here).quota_by_lookup(there), 3),
        (all().quota_by(here).quota_by_lookup(nowhere), 1),
    ] {
        let layer = http(policy).clock(clock()).build().unwrap();
        let answer = send(&layer, &Handler::default(), with(&[])).await;
        let told = format!(r#""all";q={told};w=3600"#);
        assert_eq!(answer.header("ratelimit-policy"), Some(&*told));
    }
}
