//! What is read of a request: its cost, its quota, and whether it is limited at all.

use std::{
    future::Future as _,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use buttress_http::{ClientIp, GrpcCode, Head, LocalRefusal, grpc_status, keys};
use buttress_rate_limit::{Access, Error, Event, Policy, Quota, RateLimitLayer};
use http::{HeaderValue, Method, Request};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Handler, clock, from_peer, http, send};

fn with(headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = from_peer(Ipv4Addr::LOCALHOST);
    *request.method_mut() = Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    for (name, value) in headers {
        request
            .headers_mut()
            .insert(*name, HeaderValue::from_static(value));
    }
    request
}

fn cost_in_header(head: &Head) -> u64 {
    head.headers()
        .get("x-cost")
        .and_then(|cost| cost.to_str().ok()?.parse().ok())
        .unwrap_or(1)
}

#[tokio::test]
async fn a_request_can_cost_more_than_another() {
    let handler = Handler::default();
    let layer = http(
        Policy::new("per-ip", "10/h")
            .key(ClientIp::peer())
            .cost(cost_in_header),
    )
    .clock(clock())
    .build()
    .unwrap();
    let of_cost = |cost| with(&[("x-cost", cost)]);
    assert_eq!(
        send(&layer, &handler, of_cost("7"))
            .await
            .header("ratelimit"),
        Some(r#""per-ip";r=3;t=2520"#)
    );
    assert_eq!(send(&layer, &handler, of_cost("4")).await.status, 429);
    assert_eq!(send(&layer, &handler, of_cost("3")).await.status, 200);
    assert_eq!(
        send(&layer, &handler, of_cost("0")).await.status,
        200,
        "a cost of 0 is always admitted"
    );

    let never = send(&layer, &handler, of_cost("11")).await;
    assert_eq!((never.status, never.header("retry-after")), (429, None));
    assert!(
        std::str::from_utf8(&never.body)
            .unwrap()
            .contains("can never be admitted")
    );
    let never = send(
        &layer,
        &handler,
        with(&[("x-cost", "11"), ("content-type", "application/grpc")]),
    )
    .await;
    assert_eq!(
        grpc_status(&never.headers),
        Some(GrpcCode::ResourceExhausted)
    );
}

fn by_tier(head: &Head) -> Option<Quota> {
    let tier = head.headers().get("x-tier")?;
    match tier.as_bytes() {
        b"gold" => Quota::per_hour(100).build().ok(),
        b"minute" => Quota::per_minute(100).build().ok(),
        b"silver" => Quota::per_hour(4).burst(2).build().ok(),
        _ => None,
    }
}

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

#[tokio::test]
async fn a_quota_can_be_looked_up() {
    let handler = Handler::default();
    let tenant = || keys::Header::named("x-tenant").unwrap();
    let per_tenant = Policy::new("per-tenant", "1/h")
        .key(tenant())
        .quota_by_lookup(|head: &Head| {
            let found = by_tier(head);
            async move {
                tokio::task::yield_now().await;
                found
            }
        });
    let layer = http(per_tenant)
        .policy(Policy::new("all", "1000/d"))
        .clock(clock())
        .build()
        .unwrap();
    let silver = || with(&[("x-tenant", "umbrella"), ("x-tier", "silver")]);
    let answer = send(&layer, &handler, silver()).await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""per-tenant";q=2;w=1800, "all";q=1000;w=86400"#)
    );
    assert_eq!(
        answer.header("ratelimit"),
        Some(r#""per-tenant";r=1;t=900, "all";r=999;t=87"#)
    );
    assert_eq!(send(&layer, &handler, silver()).await.status, 200);
    let refused = send(&layer, &handler, silver()).await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("900"))
    );
    assert_eq!(
        send(&layer, &handler, with(&[("x-tenant", "initech")]))
            .await
            .status,
        200
    );
    assert_eq!(
        send(&layer, &handler, with(&[("x-tenant", "initech")]))
            .await
            .status,
        429
    );
    assert_eq!(
        send(&layer, &handler, with(&[])).await.status,
        400,
        "nobody is looked up without a key"
    );
    assert_eq!(handler.calls(), 3);
}

#[tokio::test]
async fn who_leaves_while_the_quota_is_looked_up_was_charged_nothing() {
    let lookup = |_: &Head| std::future::pending::<Option<Quota>>();
    let looked_up = http(Policy::new("all", "1/h").quota_by_lookup(lookup))
        .clock(clock())
        .build()
        .unwrap();
    let mut call = Box::pin(
        looked_up
            .layer(Handler::default().service())
            .oneshot(with(&[])),
    );
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
    drop(call);

    // A single policy takes the same way, and a clone of the policy is the same policy.
    let policy = Policy::new("all", "1/h")
        .quota_by_lookup(|_: &Head| async { None })
        .clone();
    let layer = http(policy).clock(clock()).build().unwrap();
    assert_eq!(
        send(&layer, &Handler::default(), with(&[])).await.status,
        200
    );
    assert_eq!(
        send(&layer, &Handler::default(), with(&[])).await.status,
        429
    );
}

fn who(head: &Head) -> Access {
    if head.method() == Method::OPTIONS
        && head.headers().contains_key("access-control-request-method")
    {
        return Access::Allow;
    }
    match head.headers().get("x-who").map(HeaderValue::as_bytes) {
        Some(b"friend") => Access::Allow,
        Some(b"foe") => Access::Deny,
        _ => Access::Limit,
    }
}

#[tokio::test]
async fn some_pass_unlimited_and_some_do_not_pass() {
    let handler = Handler::default();
    let layer = http(Policy::new("per-ip", "1/h").key(ClientIp::peer()))
        .access(who)
        .clock(clock())
        .build()
        .unwrap();
    for _ in 0..3 {
        let answer = send(&layer, &handler, with(&[("x-who", "friend")])).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, None));
        let mut preflight = with(&[("access-control-request-method", "GET")]);
        *preflight.method_mut() = Method::OPTIONS;
        assert_eq!(send(&layer, &handler, preflight).await.status, 200);
    }
    assert_eq!(
        send(&layer, &handler, with(&[])).await.status,
        200,
        "they were charged nothing"
    );
    assert_eq!(send(&layer, &handler, with(&[])).await.status, 429);

    let denied = send(&layer, &handler, with(&[("x-who", "foe")])).await;
    assert_eq!(denied.status, 403);
    assert_eq!(
        denied.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(
        (denied.header("retry-after"), denied.header("ratelimit")),
        (None, None)
    );
    assert!(denied.extensions.get::<LocalRefusal>().is_some());
    let denied = send(
        &layer,
        &handler,
        with(&[("x-who", "foe"), ("content-type", "application/grpc")]),
    )
    .await;
    assert_eq!(
        grpc_status(&denied.headers),
        Some(GrpcCode::PermissionDenied)
    );

    let typed = RateLimitLayer::typed(Policy::<u8>::new("all", "1/h"))
        .access(|n: &u8| if *n == 0 { Access::Deny } else { Access::Limit })
        .build()
        .unwrap();
    let echo = service_fn(|n: u8| async move { Ok::<_, std::convert::Infallible>(n) });
    assert!(matches!(
        typed.layer(echo).oneshot(0).await,
        Err(Error::Denied)
    ));
    assert_eq!(typed.layer(echo).oneshot(1).await.unwrap(), 1);
}

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

#[tokio::test]
async fn every_policy_can_have_its_quota_looked_up() {
    let looked_up = |name: &str, quota: &'static str| {
        let found = move || quota.parse::<Quota>().ok();
        Policy::new(name, "1/h").quota_by_lookup(move |_: &Head| async move { found() })
    };
    let layer = http(Policy::new("own", "9/h"))
        .policy(looked_up("one", "5/h"))
        .policy(looked_up("other", "3/h"))
        .clock(clock())
        .build()
        .unwrap();
    let answer = send(&layer, &Handler::default(), with(&[])).await;
    let policies = answer.header("ratelimit-policy").unwrap();
    assert_eq!(
        policies,
        r#""own";q=9;w=3600, "one";q=5;w=3600, "other";q=3;w=3600"#
    );
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
