use std::{error::Error as _, io, time::Duration};

use buttress_core::{MissingKey, key_from};
use buttress_rate_limit::{Error, Policy, RateLimitLayer};
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
        refused.to_string(),
        "per-tenant: rate limit exceeded, retry after 1s"
    );
    assert!(refused.source().is_some());
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

    let text = "per-tenant: no key: the request has no such key";
    assert_eq!(nobody.to_string(), text);
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
        refused.to_string(),
        "rows: a cost of 11 exceeds the burst of 10: it can never be admitted"
    );
    assert_eq!(refused.retry_after(), None);
    let refused = layer.layer(echo).oneshot(7).await.unwrap_err().to_string();
    assert!(
        refused.contains("exceeds the burst of 5"),
        "the request's own: {refused}"
    );
}
