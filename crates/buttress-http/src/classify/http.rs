use std::sync::Arc;

use buttress_core::{
    Classify, Outcome,
    clock::{SystemWallClock, WallClock},
};
use http::{HeaderMap, Response, StatusCode};

use crate::{Cause, LocalRefusal, RateLimitInfo};

/// Understands HTTP responses by their status, and refusals by what [`RateLimitInfo`] hears in their header fields.
///
/// | answer | outcome |
/// |---|---|
/// | one that carries [`LocalRefusal`] | [`Ignored`](Outcome::Ignored) |
/// | 429; 503, 529, 402 and 403 that tell when to come back; AWS's throttling codes | [`Throttled`](Outcome::Throttled), with the wait |
/// | 500, 502, 503, 504, and codes of 5xx that are not registered, such as 520 | [`Failure`](Outcome::Failure) |
/// | everything else: 1xx, 2xx, 3xx, 4xx; 501, 505 and the other 5xx | [`Success`](Outcome::Success) |
/// | an error instead of a response | [`Failure`](Outcome::Failure) |
///
/// A 408 is a success: it says that the *caller's* request did not arrive in time (RFC 9110 §15.5.9),
/// so it is no fault of the upstream. A timeout layer that answers 408 for a slow upstream, as
/// tower-http's does by default, is to be set to 504. Of the 5xx, 501 and the like tell of the request
/// or of a lasting property of the server, which is well; a code that nobody registered is understood
/// as 500 (RFC 9110 §15).
///
/// The wait is told by `Retry-After`, by its kin such as `retry-after-ms`, or by a limit that is used up, in whichever
/// dialect: see the [rules](crate::rate_limit_info). The header fields of what is no refusal are not read, nor is any
/// body.
///
/// ```
/// use std::{convert::Infallible, time::Duration};
/// use buttress_core::{Classify, Outcome};
/// use buttress_http::HttpClassifier;
///
/// let throttled = http::Response::builder()
///     .status(429)
///     .header("retry-after", "30")
///     .body(())
///     .unwrap();
/// assert_eq!(
///     HttpClassifier::default().classify(Ok::<_, &Infallible>(&throttled)),
///     Outcome::Throttled { retry_after: Some(Duration::from_secs(30)) }
/// );
/// ```
#[derive(Clone, Debug)]
pub struct HttpClassifier {
    clock: Arc<dyn WallClock>,
}

impl HttpClassifier {
    /// Reckons dates, as in `Retry-After` and in the resets of some vendors, on `clock`, where a response has no
    /// `Date`.
    #[must_use]
    pub fn with_clock(clock: impl WallClock) -> Self {
        Self {
            clock: Arc::new(clock),
        }
    }

    /// The outcome of a status and the header fields that came with it.
    pub(super) fn status(&self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        if status.is_client_error() || status.is_server_error() {
            self.error(status, headers)
        } else {
            Outcome::Success
        }
    }

    #[cold]
    fn error(&self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        if !may_be_a_refusal(status, headers) {
            return by_status(status);
        }
        let info = self.info(status, headers);
        let retry_after = info.retry_after();
        let throttled = match info.verdict().map(|verdict| verdict.cause) {
            None => false,
            // Who is overloaded and does not say for how long is not known to recover by itself; and what was
            // paid for does not come back by leaving the upstream alone.
            Some(Cause::Overload | Cause::Billing) => {
                retry_after.is_some() || status == StatusCode::TOO_MANY_REQUESTS
            }
            Some(_) => true,
        };
        if throttled {
            Outcome::Throttled { retry_after }
        } else {
            by_status(status)
        }
    }

    /// What is said about limits, now.
    pub(super) fn info(&self, status: StatusCode, headers: &HeaderMap) -> RateLimitInfo {
        RateLimitInfo::of(status, headers, self.clock.now())
    }
}

/// Is it worth to look for a wait? Many errors are ordinary answers, such as a 404, and come with limits, too, of which
/// nothing has to be known.
fn may_be_a_refusal(status: StatusCode, headers: &HeaderMap) -> bool {
    match status.as_u16() {
        402 | 403 | 429 | 503 | 529 => true,
        // AWS throttles with a 400, and names the error in a field.
        _ => headers.contains_key("x-amzn-errortype"),
    }
}

/// The outcome of an error that does not ask to be left alone.
fn by_status(status: StatusCode) -> Outcome {
    match status {
        StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Outcome::Failure,
        unknown if unknown.is_server_error() && unknown.canonical_reason().is_none() => {
            Outcome::Failure
        }
        _ => Outcome::Success,
    }
}

/// On the system's clock.
impl Default for HttpClassifier {
    fn default() -> Self {
        Self::with_clock(SystemWallClock)
    }
}

impl<B, E> Classify<Response<B>, E> for HttpClassifier {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        match result {
            Err(_) => Outcome::Failure,
            Ok(response) if LocalRefusal::of(response).is_some() => Outcome::Ignored,
            Ok(response) => self.status(response.status(), response.headers()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    /// Sunday, 6 November 1994, 08:49:37.
    #[derive(Debug)]
    struct In1994;

    impl WallClock for In1994 {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
        }
    }

    fn outcome(response: Response<()>) -> Outcome {
        HttpClassifier::with_clock(In1994).classify(Ok::<_, &()>(&response))
    }

    fn response(status: u16, retry_after: Option<&str>) -> Response<()> {
        let mut response = Response::builder().status(status);
        if let Some(value) = retry_after {
            response = response.header("retry-after", value);
        }
        response.body(()).unwrap()
    }

    #[test]
    fn by_status() {
        let throttled = |seconds: Option<u64>| Outcome::Throttled {
            retry_after: seconds.map(Duration::from_secs),
        };
        let date = Some("Sun, 06 Nov 1994 08:50:00 GMT");
        let cases = [
            (101, None, Outcome::Success),
            (200, None, Outcome::Success),
            (200, Some("30"), Outcome::Success),
            (304, None, Outcome::Success),
            (400, None, Outcome::Success),
            (402, None, Outcome::Success),
            (402, Some("30"), throttled(Some(30))),
            (403, None, Outcome::Success),
            (403, Some("30"), throttled(Some(30))),
            (404, None, Outcome::Success),
            (408, None, Outcome::Success),
            (425, None, Outcome::Success),
            (429, None, throttled(None)),
            (429, Some("30"), throttled(Some(30))),
            (429, Some("0"), throttled(Some(0))),
            (429, Some("rubbish"), throttled(None)),
            (429, date, throttled(Some(23))),
            (499, None, Outcome::Success),
            (500, None, Outcome::Failure),
            (500, Some("30"), Outcome::Failure),
            (501, None, Outcome::Success),
            (502, None, Outcome::Failure),
            (503, None, Outcome::Failure),
            (503, Some("30"), throttled(Some(30))),
            (503, date, throttled(Some(23))),
            (503, Some("rubbish"), Outcome::Failure),
            (504, None, Outcome::Failure),
            (505, None, Outcome::Success),
            (507, None, Outcome::Success),
            (511, None, Outcome::Success),
            // Cloudflare could not reach the origin.
            (522, None, Outcome::Failure),
            // Anthropic is overloaded.
            (529, None, Outcome::Failure),
            (529, Some("30"), throttled(Some(30))),
            (599, None, Outcome::Failure),
            (999, None, Outcome::Success),
        ];
        for (status, retry_after, expected) in cases {
            let actual = outcome(response(status, retry_after));
            assert_eq!(actual, expected, "{status} {retry_after:?}");
        }
    }

    /// The dialects themselves have vectors of their own; this is about what they come to here.
    #[test]
    fn what_vendors_say_is_heard() {
        let throttled = |millis: Option<u64>| Outcome::Throttled {
            retry_after: millis.map(Duration::from_millis),
        };
        let used_up = "ratelimit: \"day\";r=0;t=40";
        let something_remains = "ratelimit: \"day\";r=5;t=40";
        let tokens = "x-ratelimit-remaining-tokens: 0\nx-ratelimit-reset-tokens: 1m12.5s";
        let date = "x-ratelimit-remaining: 0\nx-ratelimit-reset: 1994-11-06T08:50:40Z";
        // The sender's clock is a minute ahead.
        let skewed = &format!("{date}\ndate: Sun, 06 Nov 1994 08:50:37 GMT");
        let github = &format!("{date}\nx-github-request-id: 1");
        let cases = [
            (429, "retry-after-ms: 250", throttled(Some(250))),
            (429, used_up, throttled(Some(40_000))),
            (429, tokens, throttled(Some(72_500))),
            (429, skewed, throttled(Some(3_000))),
            (429, something_remains, throttled(None)),
            (503, used_up, throttled(Some(40_000))),
            (503, something_remains, Outcome::Failure),
            (403, github, throttled(Some(63_000))),
            (
                400,
                "x-amzn-errortype: ThrottlingException",
                throttled(None),
            ),
            // It tells of limits, and is no refusal.
            (500, used_up, Outcome::Failure),
            (200, used_up, Outcome::Success),
        ];
        for (status, fields, expected) in cases {
            let mut response = Response::builder().status(status);
            for field in fields.lines() {
                let (name, value) = field.split_once(": ").unwrap();
                response = response.header(name, value);
            }
            let actual = outcome(response.body(()).unwrap());
            assert_eq!(actual, expected, "{status} {fields}");
        }
    }

    /// Most answers are none: they cost no reading of the clock, and no look at the header fields, which follows
    /// it.
    #[test]
    fn what_is_no_refusal_is_not_read() {
        #[derive(Debug)]
        struct Unread;

        impl WallClock for Unread {
            fn now(&self) -> SystemTime {
                panic!("the clock was read")
            }
        }

        let classifier = HttpClassifier::with_clock(Unread);
        for (status, expected) in [
            (101, Outcome::Success),
            (200, Outcome::Success),
            (304, Outcome::Success),
            (404, Outcome::Success),
            (500, Outcome::Failure),
        ] {
            let response = response(status, Some("30"));
            let actual = classifier.classify(Ok::<_, &()>(&response));
            assert_eq!(actual, expected, "{status}");
        }
    }

    #[test]
    fn an_error_is_a_failure() {
        let result: Result<&Response<()>, &&str> = Err(&"connection refused");
        assert_eq!(HttpClassifier::default().classify(result), Outcome::Failure);
    }

    /// A breaker that heeds its own limiter's 429, or its own 503, never closes again.
    #[test]
    fn our_own_refusal_says_nothing() {
        for status in [429, 500, 503, 200] {
            let mut response = response(status, Some("30"));
            LocalRefusal::new(None).mark(&mut response);
            assert_eq!(outcome(response), Outcome::Ignored, "{status}");
        }
    }
}
