//! What is heard of each dialect, draft and trap: `tests/vectors/rate-limit-info.toml`, read by the one corpus.

use std::{collections::HashSet, time::SystemTime};

use buttress_http::rate_limit_info::{Advice, BodyHints, Cause, LimitInfo, RateLimitInfo};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct File {
    vector: Vec<Vector>,
}

/// A response, and all that is to be heard of it: what is not named is to be absent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    status: u16,
    #[serde(default)]
    headers: Vec<String>,
    body: Option<String>,
    #[serde(default = "thursday")]
    now: String,

    vendor: Option<String>,
    should_retry: Option<bool>,
    retry_after: Option<String>,
    source: Option<String>,
    #[serde(default)]
    limits: Vec<String>,
    bucket: Option<String>,
    scope: Option<String>,
    cause: Option<String>,
    advice: Option<String>,
}

fn thursday() -> String {
    "2025-10-09T12:00:00Z".to_owned()
}

fn vectors() -> Vec<Vector> {
    let file: File =
        toml::from_str(include_str!("../../../tests/vectors/rate-limit-info.toml")).unwrap();
    file.vector
}

fn headers(lines: &[String]) -> HeaderMap {
    let fields = lines.iter().map(|line| {
        let (name, value) = line
            .split_once(": ")
            .unwrap_or_else(|| panic!("no field: {line}"));
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    HeaderMap::from_iter(fields)
}

fn now(vector: &Vector) -> SystemTime {
    humantime::parse_rfc3339(&vector.now).unwrap()
}

fn heard(vector: &Vector) -> RateLimitInfo {
    let status = StatusCode::from_u16(vector.status).unwrap();
    let info = RateLimitInfo::of(status, &headers(&vector.headers), now(vector));
    assert_eq!(
        info.needs_body(),
        vector.body.is_some(),
        "{}: a body is given where it is asked for",
        vector.name
    );
    match &vector.body {
        Some(body) => info.with_body(body.as_bytes(), &BodyHints::default()),
        None => info,
    }
}

/// `daily: 100 ContentBytes, 9 left, 91 used, reset 30s, window 1day`
fn written(limit: &LimitInfo) -> String {
    let mut text = String::new();
    if !limit.name().is_empty() {
        text = format!("{}: ", limit.name());
    }
    let number = limit
        .limit()
        .map_or("?".to_owned(), |limit| limit.to_string());
    text += &format!("{number} {:?}", limit.unit());
    for (number, word) in [(limit.remaining(), "left"), (limit.used(), "used")] {
        if let Some(number) = number {
            text += &format!(", {number} {word}");
        }
    }
    for (span, word) in [(limit.reset(), "reset"), (limit.window(), "window")] {
        if let Some(span) = span {
            text += &format!(", {word} {}", humantime::format_duration(span));
        }
    }
    text
}

#[test]
fn each_is_heard_as_it_was_meant() {
    for vector in vectors() {
        let name = &vector.name;
        let info = heard(&vector);
        assert_eq!(
            info.vendor().map(|vendor| vendor.to_string()),
            vector.vendor,
            "{name}: vendor"
        );
        assert_eq!(
            info.should_retry(),
            vector.should_retry,
            "{name}: should_retry"
        );
        let expected = vector
            .retry_after
            .as_deref()
            .map(|wait| humantime::parse_duration(wait).unwrap());
        assert_eq!(info.retry_after(), expected, "{name}: retry_after");
        assert_eq!(
            info.source().map(|source| format!("{source:?}")),
            vector.source,
            "{name}: source"
        );
        assert_eq!(
            info.limits().iter().map(written).collect::<Vec<_>>(),
            vector.limits,
            "{name}: limits"
        );
        assert_eq!(info.bucket(), vector.bucket.as_deref(), "{name}: bucket");
        assert_eq!(info.scope(), vector.scope.as_deref(), "{name}: scope");

        let verdict = info.verdict();
        assert_eq!(
            verdict.map(|verdict| format!("{:?}", verdict.cause)),
            vector.cause,
            "{name}: cause"
        );
        let advice = verdict.map(|verdict| match verdict.advice {
            Advice::RetryAfter(wait) | Advice::GoElsewhere(wait) if wait != info.retry_after() => {
                panic!("{name}: {verdict:?}")
            }
            Advice::RetryAfter(_) => "RetryAfter",
            Advice::GoElsewhere(_) => "GoElsewhere",
            Advice::GiveUp => "GiveUp",
            other => panic!("{name}: {other:?}"),
        });
        assert_eq!(advice, vector.advice.as_deref(), "{name}: advice");
    }
}

#[test]
fn no_two_vectors_share_a_name() {
    let mut names = HashSet::new();
    for vector in vectors() {
        assert!(names.insert(vector.name.clone()), "{}", vector.name);
    }
}

/// A server whose clock is wrong, and says so in `Date`, is heard as one whose clock is right.
#[test]
fn the_clocks_need_not_agree() {
    for vector in vectors() {
        if !vector
            .headers
            .iter()
            .any(|line| line.to_ascii_lowercase().starts_with("date: "))
        {
            continue;
        }
        let status = StatusCode::from_u16(vector.status).unwrap();
        let days = std::time::Duration::from_secs(3 * 86_400);
        let headers = headers(&vector.headers);
        let ahead = RateLimitInfo::of(status, &headers, now(&vector) + days);
        let behind = RateLimitInfo::of(status, &headers, now(&vector) - days);
        assert_eq!(ahead, behind, "{}", vector.name);
    }
}

/// Cut off anywhere, a body says less, but is never misread into a longer wait or a panic.
#[test]
fn a_body_may_end_anywhere() {
    for vector in vectors() {
        let Some(body) = &vector.body else { continue };
        let whole = heard(&vector);
        let status = StatusCode::from_u16(vector.status).unwrap();
        for end in 0..body.len() {
            let info = RateLimitInfo::of(status, &headers(&vector.headers), now(&vector));
            let info = info.with_body(&body.as_bytes()[..end], &BodyHints::default());
            assert!(
                info.retry_after()
                    .is_none_or(|wait| Some(wait) <= whole.retry_after()),
                "{} at {end}: {info:?}",
                vector.name
            );
        }
    }
}

/// One field is enough, and each counts; as the vendors write them.
#[test]
fn each_mark_tells_its_vendor() {
    for (vendor, marks) in [
        (
            "GitHub",
            &["X-GitHub-Request-Id", "X-GitHub-Media-Type"][..],
        ),
        ("GitLab", &["GitLab-LB", "GitLab-SV"]),
        (
            "Discord",
            &[
                "X-RateLimit-Bucket",
                "X-RateLimit-Scope",
                "X-RateLimit-Global",
            ],
        ),
        (
            "Shopify",
            &["X-Shopify-Shop-Api-Call-Limit", "X-Shopify-Stage"],
        ),
        ("Stripe", &["Stripe-Should-Retry", "Stripe-Version"]),
        (
            "Anthropic",
            &[
                "anthropic-organization-id",
                "anthropic-ratelimit-requests-limit",
                "anthropic-ratelimit-tokens-limit",
            ],
        ),
        (
            "Azure OpenAI",
            &["apim-request-id", "azureml-model-session"],
        ),
        (
            "OpenAI",
            &[
                "openai-processing-ms",
                "openai-version",
                "openai-organization",
                "x-ratelimit-limit-requests",
                "x-ratelimit-limit-tokens",
            ],
        ),
        ("Azure", &["x-ms-request-id", "x-ms-retry-after-ms"]),
        (
            "AWS",
            &[
                "x-amzn-RequestId",
                "x-amz-request-id",
                "x-amzn-ErrorType",
                "x-amz-retry-after",
            ],
        ),
        (
            "HubSpot",
            &[
                "X-HubSpot-RateLimit-Daily",
                "X-HubSpot-RateLimit-Secondly",
                "X-HubSpot-Correlation-Id",
            ],
        ),
        ("Docker Hub", &["docker-ratelimit-source"]),
        ("X", &["x-rate-limit-limit", "x-rate-limit-reset"]),
    ] {
        for mark in marks {
            let headers = headers(&[format!("{mark}: 1")]);
            let now = SystemTime::UNIX_EPOCH;
            let info = RateLimitInfo::of(StatusCode::INTERNAL_SERVER_ERROR, &headers, now);
            let told = info.vendor().map(|vendor| vendor.as_str());
            assert_eq!(told, Some(vendor), "{mark}");
        }
    }
}

/// What a body says that has this in it, and nothing else.
fn cause(body: &str) -> Option<Cause> {
    let silent = RateLimitInfo::of(
        StatusCode::SERVICE_UNAVAILABLE,
        &HeaderMap::new(),
        SystemTime::UNIX_EPOCH,
    );
    let info = silent.with_body(body.as_bytes(), &BodyHints::default());
    info.verdict().map(|verdict| verdict.cause)
}

/// As the vendors write them.
#[test]
fn each_code_tells_which_refusal_it_is() {
    for (codes, meant) in [
        (
            &[
                "insufficient_quota",
                "billing_hard_limit_reached",
                "billing_not_active",
                "credit_balance_exhausted",
                "billing_error",
                "enforced_spend_limit_reached",
                "CreditsDepleted",
                "exceeded_current_quota_error",
            ][..],
            Cause::Billing,
        ),
        (
            &[
                "overloaded_error",
                "server_overloaded",
                "engine_overloaded_error",
            ],
            Cause::Overload,
        ),
        (
            &[
                "rate_limit_error",
                "rate_limit_exceeded",
                "rate_limit_reached_error",
                "RateLimitReached",
                "RESOURCE_EXHAUSTED",
                "SlowDown",
                "Throttling",
                "ThrottlingException",
                "ThrottledException",
                "RequestThrottled",
                "RequestThrottledException",
                "RequestLimitExceeded",
                "TooManyRequestsException",
                "ProvisionedThroughputExceededException",
                "BandwidthLimitExceeded",
                "LimitExceededException",
                "PriorRequestNotComplete",
                "EC2ThrottledException",
            ],
            Cause::Burst,
        ),
    ] {
        for code in codes {
            let json = format!(r#"{{"error":{{"code":"{code}"}}}}"#);
            assert_eq!(cause(&json), Some(meant), "{code}");
            let xml = format!("<Error><Code>{code}</Code></Error>");
            assert_eq!(cause(&xml), Some(meant), "{code}");
        }
    }
    for member in ["code", "type", "status", "reason", "__type", "error"] {
        let json = format!(r#"{{"{member}":"SlowDown"}}"#);
        assert_eq!(cause(&json), Some(Cause::Burst), "{member}");
    }
    assert_eq!(cause(r#"{"message":"SlowDown"}"#), None);
    for (phrase, meant) in [
        ("余额不足或无可用资源包,请充值。", Cause::Billing),
        (
            "Insufficient balance or no resource package. Please recharge.",
            Cause::Billing,
        ),
        (
            "Request too large for gpt-x on tokens per min",
            Cause::TooLarge,
        ),
        ("当前分组上游负载已饱和,请稍后再试", Cause::Overload),
        ("GenerateRequestsPerDayPerProjectPerModel", Cause::Window),
        ("Limit: 200 requests per day", Cause::Window),
        ("Rate limit reached for gpt-x", Cause::Burst),
        ("Too Many Requests", Cause::Burst),
    ] {
        let json = format!(r#"{{"message":"{phrase}"}}"#);
        assert_eq!(cause(&json), Some(meant), "{phrase}");
    }
}
