//! Several policies on one request: all or nothing. R8 of the traps.

use std::{net::Ipv4Addr, time::Duration};

use buttress_core::key_from;
use buttress_http::{ClientIp, Head};
use buttress_rate_limit::{OnMissingKey, Overflow, Policy};
use http::Request;

use crate::support::{Handler, clock, from_peer, http, send};

fn with_tenant(tenant: &'static str) -> Request<()> {
    let mut request = from_peer(Ipv4Addr::LOCALHOST);
    request
        .headers_mut()
        .insert("x-tenant", http::HeaderValue::from_static(tenant));
    request
}

fn tenant() -> impl buttress_core::ExtractKey<Head> {
    key_from(|head: &Head| {
        head.headers()
            .get("x-tenant")
            .map(|value| value.as_bytes().to_vec())
    })
}

#[tokio::test]
async fn a_refusal_charges_nobody() {
    let handler = Handler::default();
    let layer = http(Policy::new("per-ip", "3/h").key(ClientIp::peer()))
        .policy(Policy::new("per-tenant", "1/h").key(tenant()))
        .clock(clock())
        .build()
        .unwrap();
    assert_eq!(
        send(&layer, &handler, with_tenant("acme")).await.status,
        200
    );
    // The address would admit each of these; the tenant does not, so the address is not charged.
    for _ in 0..10 {
        let refused = send(&layer, &handler, with_tenant("acme")).await;
        assert_eq!(refused.status, 429);
        let problem: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(
            problem["violated-policies"],
            serde_json::json!(["per-tenant"])
        );
    }
    assert_eq!(
        send(&layer, &handler, with_tenant("umbrella")).await.status,
        200
    );
    assert_eq!(
        send(&layer, &handler, with_tenant("initech")).await.status,
        200
    );
    assert_eq!(handler.calls(), 3);
}

#[tokio::test]
async fn the_longest_wait_counts_and_all_who_refuse_are_named() {
    let (handler, clock) = (Handler::default(), clock());
    let layer = http(Policy::new("second", "1/s"))
        .policy(Policy::new("minute", "1/min"))
        .policy(Policy::new("day", "100/d"))
        .clock(clock.clone())
        .build()
        .unwrap();
    let admitted = send(&layer, &handler, with_tenant("acme")).await;
    assert_eq!(
        admitted.header("ratelimit-policy"),
        Some(r#""second";q=1;w=1, "minute";q=1;w=60, "day";q=100;w=86400"#)
    );
    assert_eq!(
        admitted.header("ratelimit"),
        Some(r#""second";r=0;t=1, "minute";r=0;t=60, "day";r=99;t=864"#)
    );

    let refused = send(&layer, &handler, with_tenant("acme")).await;
    assert_eq!(refused.header("retry-after"), Some("60"));
    let problem: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(
        problem["violated-policies"],
        serde_json::json!(["second", "minute"])
    );
    assert_eq!(
        refused.header("ratelimit"),
        Some(r#""second";r=0;t=1, "minute";r=0;t=60, "day";r=99;t=864"#)
    );

    clock.advance(Duration::from_secs(59));
    let refused = send(&layer, &handler, with_tenant("acme")).await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    let problem: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(problem["violated-policies"], serde_json::json!(["minute"]));
}

#[tokio::test]
async fn a_policy_that_does_not_apply_is_not_charged_and_not_told_of() {
    let handler = Handler::default();
    let layer = http(
        Policy::new("per-tenant", "1/h")
            .key(tenant())
            .missing_key(OnMissingKey::Exempt),
    )
    .policy(Policy::new("all", "4/h"))
    .clock(clock())
    .build()
    .unwrap();
    for remaining in ["3", "2"] {
        let answer = send(&layer, &handler, from_peer(Ipv4Addr::LOCALHOST)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some(r#""all";q=4;w=3600"#)
        );
        assert_eq!(
            answer
                .header("ratelimit")
                .unwrap()
                .split(", ")
                .map(|item| item.split(";t=").next().unwrap())
                .collect::<Vec<_>>(),
            [format!(r#""all";r={remaining}"#)],
        );
    }
    assert_eq!(
        send(&layer, &handler, with_tenant("acme")).await.status,
        200
    );
    assert_eq!(
        send(&layer, &handler, with_tenant("acme")).await.status,
        429
    );
    assert_eq!(
        send(&layer, &handler, from_peer(Ipv4Addr::LOCALHOST))
            .await
            .status,
        200
    );
    // The policy before the one that refuses does not apply: the right one is named all the same.
    let refused = send(&layer, &handler, from_peer(Ipv4Addr::LOCALHOST)).await;
    assert_eq!(refused.status, 429);
    let problem: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(problem["violated-policies"], serde_json::json!(["all"]));
    assert_eq!(refused.header("retry-after"), Some("900"));
}

/// Two of one quota, of which now one applies and now the other: each is told by its name, though much of what is told
/// is kept.
#[tokio::test]
async fn policies_that_apply_by_turns_are_told_by_their_names() {
    let by = |name: &'static str| {
        let key = key_from(move |head: &Head| head.headers().get(name).map(|_| 1_u8));
        Policy::new(name, "9/h")
            .key(key)
            .missing_key(OnMissingKey::Exempt)
    };
    let layer = http(by("x-a"))
        .policy(by("x-b"))
        .clock(clock())
        .build()
        .unwrap();
    for name in ["x-a", "x-b", "x-a"] {
        let mut request = from_peer(Ipv4Addr::LOCALHOST);
        let value = http::HeaderValue::from_static("1");
        request.headers_mut().insert(name, value);
        let answer = send(&layer, &Handler::default(), request).await;
        let told = format!(r#""{name}";q=9;w=3600"#);
        assert_eq!(answer.header("ratelimit-policy"), Some(&*told));
    }
    let nobody = send(&layer, &Handler::default(), from_peer(Ipv4Addr::LOCALHOST)).await;
    assert_eq!(
        (nobody.status, nobody.headers.len()),
        (200, 0),
        "{nobody:?}"
    );
}

/// A clone of a policy is the same policy, in all that it was told.
#[tokio::test]
async fn a_clone_of_a_policy_is_the_same() {
    let policy = Policy::new("tried", "1/h").shadow().clone();
    let layer = http(policy).build().unwrap();
    assert!(layer.limits().is_empty() && layer.limit("tried").is_some());

    let keyed = Policy::new("per-tenant", "5/h").key(tenant()).cost(|_| 2);
    let keyed = keyed
        .missing_key(OnMissingKey::Exempt)
        .overflow(Overflow::Refuse);
    let layer = http(keyed.clone()).clock(clock()).build().unwrap();
    assert_eq!(
        layer.limit("per-tenant").unwrap().overflow(),
        Overflow::Refuse
    );
    let handler = Handler::default();
    let mut statuses = Vec::new();
    for request in [
        with_tenant("a"),
        with_tenant("a"),
        with_tenant("a"),
        with_tenant("b"),
    ] {
        statuses.push(send(&layer, &handler, request).await.status);
    }
    for _ in 0..3 {
        let nobody = from_peer(Ipv4Addr::LOCALHOST);
        statuses.push(send(&layer, &handler, nobody).await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 200, 200, 200, 200]);
}

#[tokio::test]
async fn each_policy_has_its_own_cost() {
    let layer = http(Policy::new("requests", "9/h"))
        .policy(Policy::new("tokens", "900/h").cost(|_| 100))
        .clock(clock())
        .build()
        .unwrap();
    for (requests, tokens) in [(8, 800), (7, 700)] {
        let answer = send(&layer, &Handler::default(), from_peer(Ipv4Addr::LOCALHOST)).await;
        let told = answer.header("ratelimit").unwrap();
        assert!(
            told.starts_with(&format!(r#""requests";r={requests};"#)),
            "{told}"
        );
        assert!(told.contains(&format!(r#""tokens";r={tokens};"#)), "{told}");
    }
}
