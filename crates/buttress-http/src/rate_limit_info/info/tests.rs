use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::{FieldStyle, LimitItem, QuotaItem, RateLimitFields, RetryAfter, retry_after_seconds};

const NOW: u64 = 1_760_011_200;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A field that matters, and what might be in it.
fn line() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
    let names: &[&str] = &[
        "retry-after",
        "retry-after-ms",
        "x-amz-retry-after",
        "x-should-retry",
        "ratelimit",
        "ratelimit-policy",
        "ratelimit-limit",
        "ratelimit-remaining",
        "ratelimit-reset",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-ratelimit-reset-after",
        "x-ratelimit-reset-tokens",
        "x-ratelimit-remaining-tokens",
        "anthropic-ratelimit-tokens-reset",
        "x-shopify-shop-api-call-limit",
        "x-github-request-id",
        "grpc-status",
        "grpc-retry-pushback-ms",
        "grpc-status-details-bin",
        "date",
        "age",
        "content-type",
        "content-length",
        "x-amzn-errortype",
        "x-ratelimit-bucket",
    ];
    let value = prop_oneof![
        Just(String::new()),
        "-?[0-9]{1,25}(\\.[0-9]{1,12})?",
        "[0-9]{1,4}[dhms]{1,2}[0-9.]{0,6}s?",
        "(true|false|0|8|14|application/json|ThrottlingException)",
        "\"?[a-z]{1,8}\"?;[arqtw]=[0-9]{1,16};[tw]=[0-9]{1,16}",
        "limit=[0-9]{1,4}, remaining=[0-9]{1,2}, reset=[0-9]{1,4}",
        "[0-9]{1,3}(/[0-9]{1,3})?(;w=[0-9]{1,20})?(, [0-9]{1,3};w=[0-9]{1,3})?",
        (0..253_402_300_800_u64).prop_map(|seconds| httpdate::fmt_http_date(at(seconds))),
        (0..253_402_300_800_u64)
            .prop_map(|seconds| humantime::format_rfc3339(at(seconds)).to_string()),
        "[ -~]{0,40}",
    ];
    (prop::sample::select(names), value).prop_map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        )
    })
}

#[test]
fn a_plain_answer_says_nothing() {
    let info = RateLimitInfo::of(StatusCode::OK, &HeaderMap::new(), at(NOW));
    assert_eq!(info.retry_after(), None);
    assert_eq!(info.limits(), []);
    assert_eq!(info.verdict(), None);
    assert!(!info.needs_body());
}

#[test]
fn a_body_that_was_not_asked_for_changes_nothing() {
    let info = RateLimitInfo::of(StatusCode::OK, &HeaderMap::new(), at(NOW));
    let body = br#"{"error":{"code":"insufficient_quota"}}"#;
    assert_eq!(info.clone().with_body(body, &BodyHints::default()), info);
}

/// That one may try again refills no quota, and makes no refusal of what is none.
#[test]
fn a_word_for_a_retry_changes_no_verdict() {
    let word = [(
        HeaderName::from_static("x-should-retry"),
        "true".parse().unwrap(),
    )];
    let headers = HeaderMap::from_iter(word);
    let of = |status| RateLimitInfo::of(status, &headers, at(NOW));
    let body = br#"{"error":{"code":"insufficient_quota"}}"#;
    let refusal = of(StatusCode::TOO_MANY_REQUESTS).with_body(body, &BodyHints::default());
    assert_eq!(refusal.should_retry(), Some(true));
    assert_eq!(refusal.verdict().unwrap().advice, Advice::GiveUp);
    let conflict = of(StatusCode::CONFLICT);
    assert_eq!(
        (conflict.should_retry(), conflict.verdict()),
        (Some(true), None)
    );
}

#[test]
fn what_is_past_4_kib_is_not_looked_at() {
    let info = RateLimitInfo::of(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), at(NOW));
    let cause = |padding: usize| {
        let body = format!(
            r#"{{"x":"{}","code":"insufficient_quota"}}"#,
            " ".repeat(padding)
        );
        info.clone()
            .with_body(body.as_bytes(), &BodyHints::default())
            .verdict()
            .unwrap()
            .cause
    };
    assert_eq!(cause(4_000), Cause::Billing);
    assert_eq!(cause(4_096), Cause::Unknown);
}

#[test]
fn a_flood_says_nothing() {
    let mut headers = HeaderMap::new();
    for n in 0..5_000 {
        let line = HeaderValue::try_from(format!("p{n};r=0;t=5")).unwrap();
        headers.append("ratelimit", line.clone());
        headers.append("ratelimit-policy", line);
    }
    let megabyte = HeaderValue::try_from("9".repeat(1 << 20)).unwrap();
    for name in [
        "x-ratelimit-reset",
        "x-ratelimit-remaining",
        "retry-after-ms",
        "x-ratelimit-bucket",
        "date",
        "age",
    ] {
        headers.insert(name, megabyte.clone());
    }
    let info = RateLimitInfo::of(StatusCode::TOO_MANY_REQUESTS, &headers, at(NOW));
    assert_eq!(info.limits(), []);
    assert_eq!((info.retry_after(), info.bucket()), (None, None));
}

#[test]
fn more_limits_than_anybody_has_are_not_kept() {
    let list: Vec<String> = (0..100).map(|n| format!("p{n};r=0;t={n}")).collect();
    let headers = HeaderMap::from_iter([(
        HeaderName::from_static("ratelimit"),
        HeaderValue::try_from(list.join(", ")).unwrap(),
    )]);
    let info = RateLimitInfo::of(StatusCode::TOO_MANY_REQUESTS, &headers, at(NOW));
    assert_eq!(info.limits().len(), 16);
    assert_eq!(info.retry_after(), Some(Duration::from_secs(15)));
}

proptest! {
    #[test]
    fn whatever_a_server_says(status in 100..1_000_u16, lines in prop::collection::vec(line(), 0..40), now in 0..253_402_300_800_u64, body in "\\PC{0,60}") {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = HeaderMap::from_iter(lines);
        let info = RateLimitInfo::of(status, &headers, at(now));
        prop_assert!(info.retry_after().is_none_or(|wait| wait <= RetryAfter::MAX));
        prop_assert!(info.limits().len() <= 16);
        prop_assert_eq!(info.retry_after().is_some(), info.source().is_some());
        prop_assert!(info.verdict().is_some() || status != StatusCode::TOO_MANY_REQUESTS);
        prop_assert!(info.verdict().is_none() || !status.is_redirection());
        if let Some(verdict) = info.verdict() && info.should_retry() == Some(false) {
            prop_assert_eq!(verdict.advice, Advice::GiveUp);
        }
        // The body never takes back what the header fields say.
        let more = info.clone().with_body(body.as_bytes(), &BodyHints::default());
        prop_assert!(!more.needs_body());
        prop_assert!(info.verdict().is_none() || more.verdict().is_some());
        if let (Some(wait), Some(source)) = (info.retry_after(), info.source()) && source != Source::Vendor {
            prop_assert_eq!(more.retry_after(), Some(wait));
        }
    }

    /// What we say in any style is heard: never earlier, and less than a second later.
    #[test]
    fn our_own_fields_are_heard(milliseconds in 1..100_000_000_u64, style in prop::sample::select(&[FieldStyle::Draft11, FieldStyle::EditorsCopy, FieldStyle::Draft07, FieldStyle::Draft03, FieldStyle::XRateLimit][..])) {
        let wait = Duration::from_millis(milliseconds);
        let policies = [QuotaItem::new("a", 10, 1), QuotaItem::new("b", 100, 60)];
        let fields = RateLimitFields::build(style, &policies).unwrap();
        let mut headers = HeaderMap::new();
        let left = LimitItem { remaining: 7, retry_after: Duration::ZERO, reset_after: Duration::from_secs(1) };
        let used_up = LimitItem { remaining: 0, retry_after: wait, reset_after: wait * 2 };
        fields.write(&mut headers, &[left, used_up]);
        let info = RateLimitInfo::of(StatusCode::TOO_MANY_REQUESTS, &headers, at(NOW));
        prop_assert_eq!(info.retry_after(), Some(Duration::from_secs(retry_after_seconds(wait))));
        prop_assert_eq!(info.source(), Some(Source::RateLimit));
    }

    #[test]
    fn skew_does_not_matter(wait in 1..100_000_u64, skew in 0..1_000_000_u64, now in 1_500_000_000..2_000_000_000_u64) {
        let theirs = now + skew;
        let forms = [
            ("retry-after", httpdate::fmt_http_date(at(theirs + wait))),
            ("x-ratelimit-reset", (theirs + wait).to_string()),
            ("x-ratelimit-reset", ((theirs + wait) * 1_000).to_string()),
            ("anthropic-ratelimit-tokens-reset", humantime::format_rfc3339_seconds(at(theirs + wait)).to_string()),
            ("ratelimit-reset", wait.to_string()),
        ];
        for (name, value) in forms {
            let headers = HeaderMap::from_iter([
                (HeaderName::from_static(name), HeaderValue::try_from(value).unwrap()),
                (header::DATE, HeaderValue::try_from(httpdate::fmt_http_date(at(theirs))).unwrap()),
            ]);
            let info = RateLimitInfo::of(StatusCode::TOO_MANY_REQUESTS, &headers, at(now));
            prop_assert_eq!(info.retry_after(), Some(Duration::from_secs(wait)), "{}", name);
        }
    }
}
