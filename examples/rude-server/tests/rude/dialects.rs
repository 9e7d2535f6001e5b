use std::time::Duration;

use buttress_core::clock::{SystemWallClock, WallClock as _};
use buttress_http::{Advice, BodyHints, Cause, RateLimitInfo};
use rude_server::Script;

use crate::client::{BOTH, Client, Version, read, server};

/// Says no word about the wait.
const SILENT: [&str; 12] = [
    "silent",
    "stripe",
    "stripe-no",
    "openai-quota",
    "openai-too-large",
    "anthropic-overloaded",
    "aws",
    "s3",
    "moonshot-overloaded",
    "zhipu-balance",
    "siliconflow",
    "one-api",
];

async fn heard(client: &Client, uri: String) -> RateLimitInfo {
    let response = client.get(uri).await.unwrap();
    let info = RateLimitInfo::of(response.status(), response.headers(), SystemWallClock.now());
    let (body, _) = read(response).await.unwrap();
    info.with_body(&body, &BodyHints::default())
}

/// Rounded up to a second, and its end rounded up once more.
const LONGEST: Duration = Duration::from_millis(1_250 + 2_000);

#[tokio::test]
async fn each_is_heard_as_a_refusal_with_its_wait_and_then_serves() {
    let server = server().await;
    for version in BOTH {
        let client = Client::new(version);
        for name in Script::default().dialects() {
            let uri = server.uri(&format!("/{name}?wait=1250ms&id={name}-{version:?}"));
            let info = heard(&client, uri.clone()).await;
            let verdict = info.verdict().unwrap_or_else(|| panic!("{name}: {info:?}"));
            match info.retry_after() {
                None => assert!(SILENT.contains(&name), "{name}: {info:?}"),
                Some(wait) => {
                    assert!(!SILENT.contains(&name), "{name}: {info:?}");
                    assert!(
                        wait >= Duration::from_millis(1_250) && wait <= LONGEST,
                        "{name}: {info:?}"
                    );
                }
            }
            let advice = match name {
                "stripe-no" | "openai-quota" | "openai-too-large" | "zhipu-balance" => {
                    Advice::GiveUp
                }
                "unavailable"
                | "azure"
                | "anthropic-overloaded"
                | "moonshot-overloaded"
                | "one-api" => Advice::GoElsewhere(info.retry_after()),
                _ => Advice::RetryAfter(info.retry_after()),
            };
            assert_eq!(verdict.advice, advice, "{name}: {info:?}");
            assert_eq!(client.status(uri).await, 200, "{name}");
        }
    }
}

#[tokio::test]
async fn bodies_tell_which_refusal_it_is() {
    let server = server().await;
    let client = Client::new(Version::Http1);
    for (name, cause) in [
        ("openai-quota", Cause::Billing),
        ("openai-too-large", Cause::TooLarge),
        ("zhipu-balance", Cause::Billing),
        ("one-api", Cause::Overload),
        ("siliconflow", Cause::Burst),
        ("s3", Cause::Burst),
        ("silent", Cause::Unknown),
    ] {
        let info = heard(&client, server.uri(&format!("/{name}"))).await;
        assert_eq!(
            info.verdict().map(|verdict| verdict.cause),
            Some(cause),
            "{name}"
        );
    }
}

/// Every dialect that names a date names it by the server's clock.
#[tokio::test]
async fn a_clock_that_is_wrong_is_wrong_in_every_date() {
    let server = server().await;
    let client = Client::new(Version::Http1);
    for name in [
        "date",
        "x-ratelimit-epoch",
        "x-ratelimit-epoch-ms",
        "github",
        "gitlab",
        "x",
        "anthropic",
    ] {
        let info = heard(
            &client,
            server.uri(&format!("/{name}?wait=1250ms&skew=90days")),
        )
        .await;
        let wait = info.retry_after().unwrap();
        assert!(
            wait >= Duration::from_millis(1_250) && wait <= LONGEST,
            "{name}: {wait:?}"
        );
    }
}
