use std::{
    error::Error as _,
    future::Future as _,
    io,
    task::{Context, Waker},
    time::Duration,
};

use buttress_core::{MissingKey, key_from};
use buttress_rate_limit::{Access, Error, Pacing, Policy, RateLimitLayer, Refused, SettleByResult};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};

use crate::support::clock;

/// A request of a protocol that nobody knows.
#[derive(Debug)]
struct Command {
    tenant: Option<&'static str>,
}

async fn run(command: Command) -> Result<usize, io::Error> {
    match command.tenant {
        Some("broken") => Err(io::Error::other("disk on fire")),
        tenant => Ok(tenant.unwrap_or_default().len()),
    }
}

/// What a log shows of an error: each says its own part, and its source the rest.
fn report(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", report(source)),
        None => error.to_string(),
    }
}

#[tokio::test]
async fn any_request_can_be_limited_and_refusals_are_errors() {
    let clock = clock();
    let by_tenant = key_from(|command: &Command| command.tenant);
    let layer = RateLimitLayer::typed(Policy::new("per-tenant", "1/s").key(by_tenant))
        .clock(clock.clone())
        .build()
        .unwrap();
    let mut service = layer.layer(service_fn(run));
    let acme = || Command {
        tenant: Some("acme"),
    };

    assert_eq!(
        service.ready().await.unwrap().call(acme()).await.unwrap(),
        4
    );
    let refused = service
        .ready()
        .await
        .unwrap()
        .call(acme())
        .await
        .unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(
        report(&refused),
        r#"refused by the rate limit "per-tenant": rate limit exceeded, retry after 1s"#
    );
    assert!(
        refused
            .source()
            .is_some_and(|source| source.is::<Refused>())
    );
    assert!(matches!(refused, Error::Refused { .. }));

    let inner = service
        .ready()
        .await
        .unwrap()
        .call(Command {
            tenant: Some("broken"),
        })
        .await
        .unwrap_err();
    assert_eq!(
        inner.to_string(),
        "the limited service failed: disk on fire"
    );
    assert_eq!(inner.retry_after(), None);

    let nobody = service
        .ready()
        .await
        .unwrap()
        .call(Command { tenant: None })
        .await
        .unwrap_err();
    assert!(
        matches!(&nobody, Error::MissingKey { missing, .. } if *missing == MissingKey::new("the request has no such key"))
    );

    assert_eq!(
        report(&nobody),
        r#"the rate limit "per-tenant" does not know whose request it is: no key: the request has no such key"#
    );
    assert!(
        nobody
            .source()
            .is_some_and(|source| source.is::<MissingKey>())
    );
    assert!(nobody.into_inner().is_none());
    assert_eq!(
        inner.into_inner().map(|error| error.to_string()).as_deref(),
        Some("disk on fire")
    );

    clock.advance(Duration::from_secs(1));
    assert!(service.ready().await.unwrap().call(acme()).await.is_ok());
}

/// Half of tower's services fail with a boxed error, and pass ours on as one.
#[tokio::test]
async fn a_boxed_error_inside_and_one_outside() {
    let layer = RateLimitLayer::typed(Policy::<u8>::new("all", "1/s"))
        .clock(clock())
        .build()
        .unwrap();
    let boxed = service_fn(|_: u8| async { Err::<(), tower::BoxError>("it broke".into()) });
    let service = tower::ServiceBuilder::new()
        .timeout(Duration::from_secs(5))
        .layer(layer)
        .timeout(Duration::from_secs(1))
        .service(boxed);
    let failed: tower::BoxError = service.clone().oneshot(1).await.unwrap_err();
    assert_eq!(failed.to_string(), "the limited service failed: it broke");
    let refused = service.oneshot(1).await.unwrap_err();
    let refused = refused.downcast::<Error<tower::BoxError>>().unwrap();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn of_several_policies_the_one_that_refuses_is_told_with_its_cost() {
    let layer = RateLimitLayer::typed(Policy::<u64>::new("requests", "9/s"))
        .policy(
            Policy::new("rows", "10/s")
                .cost(|rows| *rows)
                .quota_by(|rows| (*rows == 7).then(|| "5/s".parse().unwrap())),
        )
        .clock(clock())
        .build()
        .unwrap();
    let echo = service_fn(|rows: u64| async move { Ok::<_, io::Error>(rows) });
    let refused = layer.layer(echo).oneshot(11).await.unwrap_err();
    assert_eq!(
        report(&refused),
        r#"refused by the rate limit "rows": a cost of 11 exceeds the burst of 10: it can never be admitted"#
    );
    assert_eq!(refused.retry_after(), None);
    let refused = report(&layer.layer(echo).oneshot(7).await.unwrap_err());
    assert!(
        refused.contains("exceeds the burst of 5"),
        "the request's own: {refused}"
    );
}

/// As many rows as were asked for, or none.
async fn find(rows: u64) -> Result<u64, &'static str> {
    match rows {
        404 => Err("not connected"),
        500 => Err("broken"),
        rows => Ok(rows),
    }
}

/// What a request truly cost, where its result tells.
fn found(result: Result<&u64, &&'static str>) -> Option<u64> {
    match result {
        Ok(rows) => Some(*rows),
        Err(&"not connected") => Some(0),
        Err(_) => None,
    }
}

/// A hundred, of which each request is charged ten before it is answered.
fn rows() -> Policy<u64> {
    Policy::new("rows", "100/h").cost(|rows| if *rows == 0 { 101 } else { 10 })
}

/// How many rows are left: a request that costs more than all of them is refused, and told.
async fn left(layer: &RateLimitLayer<u64, SettleByResult<u64, &'static str>>) -> u64 {
    match layer.layer(service_fn(find)).oneshot(0).await {
        Err(Error::Refused { refused, .. }) => refused.decision().remaining(),
        other => panic!("{other:?}"),
    }
}

/// Also where the quota was looked up.
#[tokio::test]
async fn what_the_result_tells_is_charged() {
    let looked_up = rows().quota_by_lookup(|_: &u64| async { None });
    for policy in [rows(), looked_up] {
        for (asked, then_left) in [(3, 97), (30, 70), (404, 100), (500, 90)] {
            let layer = RateLimitLayer::typed(policy.clone())
                .settle_by_result("rows", found)
                .clock(clock())
                .build()
                .unwrap();
            let answered = layer.layer(service_fn(find)).oneshot(asked).await;
            assert_eq!(answered.ok(), (asked < 100).then_some(asked));
            assert_eq!(left(&layer).await, then_left, "{policy:?}, {asked}");
        }
    }
}

/// Who waits for a turn, too.
#[tokio::test(start_paused = true)]
async fn what_the_result_tells_is_charged_of_who_waited() {
    let pace =
        Policy::<u64>::new("pace", "1/s burst 1").algorithm(Pacing::up_to(Duration::from_secs(9)));
    let layer = RateLimitLayer::typed(pace)
        .settle_by_result("pace", found)
        .build()
        .unwrap();
    let call = |rows| layer.layer(service_fn(find)).oneshot(rows);
    assert_eq!(call(1).await, Ok(1));
    for _ in 0..9 {
        // Waits a second, and leaves its turn to the next one.
        assert_eq!(call(404).await, Err(Error::Inner("not connected")));
    }
    // All have left their turns: the next one is free, and nobody waits for it.
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut next = Box::pin(call(1));
    let answered = next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(answered.is_ready());
}

#[tokio::test]
async fn each_policy_has_its_rules_and_the_first_that_has_a_word_wins() {
    let layer = RateLimitLayer::typed(rows())
        .policy(Policy::new("queries", "50/h"))
        .settle_by_result("rows", |result: Result<&u64, &&'static str>| {
            result.is_err().then_some(1)
        })
        .settle_by_result("rows", found)
        .settle_by_result("queries", |result| result.is_err().then_some(0))
        .clock(clock())
        .build()
        .unwrap();
    let call = |rows| layer.clone().layer(service_fn(find)).oneshot(rows);
    assert_eq!(call(20).await, Ok(20));
    assert_eq!(call(500).await, Err(Error::Inner("broken")));
    assert_eq!(left(&layer).await, 79);
    assert_eq!(format!("{layer:?}").matches("queries").count(), 1);
}

/// Nothing was charged to who is on the list, and nothing is settled.
#[tokio::test]
async fn who_is_not_limited_is_not_settled() {
    let layer = RateLimitLayer::typed(rows())
        .access(|rows| {
            if *rows == 30 {
                Access::Allow
            } else {
                Access::Limit
            }
        })
        .settle_by_result("rows", found)
        .permits()
        .clock(clock())
        .build()
        .unwrap();
    assert_eq!(layer.layer(service_fn(find)).oneshot(30).await, Ok(30));
    assert_eq!(left(&layer).await, 100);
}

#[test]
fn a_rule_for_a_policy_that_is_not_enforced_is_an_error() {
    let tried = Policy::new("tried", "1/s").shadow();
    for name in ["tried", "nobody"] {
        let layer = RateLimitLayer::typed(rows()).policy(tried.clone());
        let error = layer.settle_by_result(name, found).build().unwrap_err();
        assert_eq!((error.field(), error.value()), ("settle.policy", name));
        assert!(error.expected().contains("enforced"), "{error}");
    }
}
