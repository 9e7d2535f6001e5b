use std::sync::Arc;

use buttress_core::{
    Classify, Outcome,
    clock::{SystemWallClock, WallClock},
};
use http::{HeaderMap, Response, StatusCode};

use crate::{LocalRefusal, RetryAfter};

/// Understands HTTP responses by their status.
///
/// | answer | outcome |
/// |---|---|
/// | one that carries [`LocalRefusal`] | [`Ignored`](Outcome::Ignored) |
/// | 429; 503 with a `Retry-After` | [`Throttled`](Outcome::Throttled), with the wait |
/// | 500, 502, 503, 504, and codes of 5xx that are not registered, such as 520 | [`Failure`](Outcome::Failure) |
/// | everything else: 2xx, 3xx, 4xx; 501, 505 and the other 5xx | [`Success`](Outcome::Success) |
/// | an error instead of a response | [`Failure`](Outcome::Failure) |
///
/// A 408 is a success: it says that the *caller's* request did not arrive in time (RFC 9110 §15.5.9),
/// so it is no fault of the upstream. A timeout layer that answers 408 for a slow upstream, as
/// tower-http's does by default, is to be set to 504. Of the 5xx, 501 and the like tell of the request
/// or of a lasting property of the server, which is well; a code that nobody registered is understood
/// as 500 (RFC 9110 §15).
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
    /// Reckons a `Retry-After` in its form of a date on `clock`.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn WallClock>) -> Self {
        Self { clock }
    }

    /// The outcome of a status and the header fields that came with it.
    pub(super) fn status(&self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        match status {
            StatusCode::TOO_MANY_REQUESTS => Outcome::Throttled {
                retry_after: self.retry_after(headers),
            },
            StatusCode::SERVICE_UNAVAILABLE => match self.retry_after(headers) {
                None => Outcome::Failure,
                retry_after => Outcome::Throttled { retry_after },
            },
            StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::GATEWAY_TIMEOUT => Outcome::Failure,
            unknown if unknown.is_server_error() && unknown.canonical_reason().is_none() => {
                Outcome::Failure
            }
            _ => Outcome::Success,
        }
    }

    fn retry_after(&self, headers: &HeaderMap) -> Option<std::time::Duration> {
        // Most answers have none: they do not pay for reading the clock.
        if !headers.contains_key(::http::header::RETRY_AFTER) {
            return None;
        }
        let now = self.clock.now();
        RetryAfter::from_headers(headers, now).map(|heard| heard.delay_from(now))
    }
}

/// On the system's clock.
impl Default for HttpClassifier {
    fn default() -> Self {
        Self::with_clock(Arc::new(SystemWallClock))
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
        HttpClassifier::with_clock(Arc::new(In1994)).classify(Ok::<_, &()>(&response))
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
            (403, Some("30"), Outcome::Success),
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
            (599, None, Outcome::Failure),
            (999, None, Outcome::Success),
        ];
        for (status, retry_after, expected) in cases {
            let actual = outcome(response(status, retry_after));
            assert_eq!(actual, expected, "{status} {retry_after:?}");
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
