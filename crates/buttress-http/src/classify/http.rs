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
