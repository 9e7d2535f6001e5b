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
    assert_eq!(inner.source().unwrap().to_string(), "disk on fire");
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

    clock.advance(Duration::from_secs(1));
    assert!(service.ready().await.unwrap().call(acme()).await.is_ok());
}
