//! Policies that are tried beside those that are enforced.

use std::sync::{Arc, Mutex};

use buttress_http::{ClientIp, Head, keys};
use buttress_rate_limit::{Access, Event, OnMissingKey, Policy};

use crate::support::{Handler, by_tier, clock, http, send, with};

#[tokio::test]
async fn a_shadow_policy_is_counted_and_never_refuses() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let handler = Handler::default();
    let heard = Arc::clone(&log);
    let observer = move |event: &Event<'_>| {
        let what = match event {
            Event::Admitted { .. } => "admitted",
            Event::Refused { .. } => "refused",
            Event::WouldRefuse { .. } => "would refuse",
            _ => "other",
        };
        heard
            .lock()
            .unwrap()
            .push(format!("{} {what}", event.limit()));
    };
    let layer = http(
        Policy::new("stricter", "1/h")
            .key(ClientIp::peer())
            .shadow(),
    )
    .policy(Policy::new("enforced", "2/h").key(ClientIp::peer()))
    .observer(observer)
    .near_limit([])
    .clock(clock())
    .build()
    .unwrap();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let answer = send(&layer, &handler, with(&[])).await;
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some(r#""enforced";q=2;w=3600"#),
            "a shadow shows nowhere"
        );
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(
        *log.lock().unwrap(),
        [
            "enforced admitted",
            "stricter admitted",
            "enforced admitted",
            "stricter would refuse",
            // What was refused never reached the shadow.
            "enforced refused",
        ]
    );
}

/// Also where the enforced ones had to ask elsewhere first.
#[tokio::test]
async fn a_shadow_is_tried_after_a_lookup() {
    let would_refuse = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&would_refuse);
    let observer = move |event: &Event<'_>| {
        if let Event::WouldRefuse { limit, cost, .. } = event {
            heard.lock().unwrap().push(format!("{limit} {cost}"));
        }
    };
    let lookup = |_: &Head| async { "3/h".parse().ok() };
    let layer = http(Policy::new("enforced", "1/h").quota_by_lookup(lookup))
        .policy(Policy::new("stricter", "5/h").cost(|_| 4).shadow())
        .observer(observer)
        .clock(clock())
        .build()
        .unwrap();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(send(&layer, &Handler::default(), with(&[])).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(*would_refuse.lock().unwrap(), ["stricter 4"; 2]);
}

/// With the quota of the request, as it would be enforced; and where it has no key, it does not apply.
#[tokio::test]
async fn a_shadow_is_tried_with_the_requests_quota() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&log);
    let observer = move |event: &Event<'_>| {
        if let Event::WouldRefuse { limit, .. } = event {
            heard.lock().unwrap().push((*limit).to_owned());
        }
    };
    let tenant = keys::Header::named("x-tenant").unwrap();
    let tried = Policy::new("tried", "1/h").key(tenant).quota_by(by_tier);
    let layer = http(Policy::new("enforced", "9/h"))
        .policy(tried.shadow())
        .observer(observer)
        .clock(clock())
        .build()
        .unwrap();
    let silver = || with(&[("x-tenant", "umbrella"), ("x-tier", "silver")]);
    for request in [silver(), silver(), silver(), with(&[]), with(&[])] {
        let answer = send(&layer, &Handler::default(), request).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(*log.lock().unwrap(), ["tried"], "the third of two");
}

#[tokio::test]
async fn a_layer_of_shadows_alone_refuses_nothing() {
    let handler = Handler::default();
    let layer = http(Policy::new("tried", "1/h").shadow())
        .clock(clock())
        .build()
        .unwrap();
    for _ in 0..3 {
        let answer = send(&layer, &handler, with(&[])).await;
        assert_eq!((answer.status, answer.headers.len()), (200, 0));
    }
}

/// An enforced policy that does not apply admits, be it the only one or one of two; who is let through by the access rule
/// concerns no policy.
#[tokio::test]
async fn a_shadow_is_tried_where_the_enforced_ones_do_not_apply() {
    let tenant = || {
        let key = keys::Header::named("x-tenant").unwrap();
        let policy = Policy::new("enforced", "9/h").key(key);
        policy.missing_key(OnMissingKey::Exempt)
    };
    for others in [0, 1] {
        let log = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&log);
        let observer = move |event: &Event<'_>| {
            if let Event::WouldRefuse { limit, .. } = event {
                heard.lock().unwrap().push((*limit).to_owned());
            }
        };
        let mut layer = http(tenant()).policy(Policy::new("tried", "1/h").shadow());
        for _ in 0..others {
            let key = keys::Header::named("x-other").unwrap();
            let other = Policy::new("other", "9/h").key(key);
            layer = layer.policy(other.missing_key(OnMissingKey::Exempt));
        }
        let layer = layer
            .access(
                |head: &Head| match head.headers().contains_key("x-friend") {
                    true => Access::Allow,
                    false => Access::Limit,
                },
            )
            .observer(observer)
            .clock(clock())
            .build()
            .unwrap();
        for request in [with(&[]), with(&[("x-friend", "1")]), with(&[])] {
            let answer = send(&layer, &Handler::default(), request).await;
            assert_eq!((answer.status, answer.headers.len()), (200, 0));
        }
        assert_eq!(*log.lock().unwrap(), ["tried"], "{others}");
    }
}
