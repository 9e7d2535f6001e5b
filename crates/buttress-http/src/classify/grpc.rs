use std::sync::Arc;

use buttress_core::{Classify, Outcome, clock::WallClock};
use http::{HeaderMap, Response, StatusCode};

use super::HttpClassifier;
use crate::{GrpcCode, LocalRefusal, Pushback, RetryInfo, grpc_status};

/// Understands gRPC responses by their `grpc-status`, wherever it stands.
///
/// | answer | outcome |
/// |---|---|
/// | one that carries [`LocalRefusal`] | [`Ignored`](Outcome::Ignored) |
/// | any HTTP status but 200 | what [`HttpClassifier`] says |
/// | 200 without a status in the headers | [`Pending`](Outcome::Pending): it follows in the trailers, for [`trailers`](Self::trailers) |
/// | `RESOURCE_EXHAUSTED` | [`Throttled`](Outcome::Throttled), with the wait of `RetryInfo`, else of `grpc-retry-pushback-ms` |
/// | `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNKNOWN`, `DATA_LOSS` | [`Failure`](Outcome::Failure) |
/// | any other code | [`Success`](Outcome::Success) |
/// | an error instead of a response | [`Failure`](Outcome::Failure) |
#[derive(Clone, Debug, Default)]
pub struct GrpcClassifier {
    http: HttpClassifier,
}

impl GrpcClassifier {
    /// Reckons a `Retry-After` in its form of a date, on a bare HTTP answer, on `clock`.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn WallClock>) -> Self {
        Self {
            http: HttpClassifier::with_clock(clock),
        }
    }

    /// The outcome that a body's trailers tell. Without a status in them the call was cut off, which
    /// gRPC calls `UNKNOWN`.
    #[must_use]
    pub fn trailers(&self, trailers: &HeaderMap) -> Outcome {
        status(trailers).unwrap_or(Outcome::Failure)
    }
}

impl<B, E> Classify<Response<B>, E> for GrpcClassifier {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        match result {
            Err(_) => Outcome::Failure,
            Ok(response) if LocalRefusal::of(response).is_some() => Outcome::Ignored,
            Ok(response) if response.status() != StatusCode::OK => {
                self.http.status(response.status(), response.headers())
            }
            Ok(response) => status(response.headers()).unwrap_or(Outcome::Pending),
        }
    }
}

/// The outcome of the `grpc-status` in a map of headers or of trailers.
fn status(headers: &HeaderMap) -> Option<Outcome> {
    Some(match grpc_status(headers)? {
        GrpcCode::ResourceExhausted => Outcome::Throttled {
            retry_after: RetryInfo::from_headers(headers)
                .map(|info| info.retry_delay())
                .or_else(|| Pushback::from_headers(headers)?.delay()),
        },
        GrpcCode::Unavailable
        | GrpcCode::DeadlineExceeded
        | GrpcCode::Internal
        | GrpcCode::Unknown
        | GrpcCode::DataLoss => Outcome::Failure,
        _ => Outcome::Success,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::GrpcRefusal;

    fn outcome(response: &Response<()>) -> Outcome {
        GrpcClassifier::default().classify(Ok::<_, &()>(response))
    }

    #[test]
    fn by_the_status_of_a_trailers_only_response() {
        for number in 0..=16 {
            let code = GrpcCode::from_u32(number).unwrap();
            let expected = match number {
                2 | 4 | 13 | 14 | 15 => Outcome::Failure,
                8 => Outcome::Throttled { retry_after: None },
                _ => Outcome::Success,
            };
            let response = GrpcRefusal::new(code, "").into_response(&HeaderMap::new());
            assert_eq!(outcome(&response), expected, "{code:?}");
            let trailers = GrpcClassifier::default().trailers(response.headers());
            assert_eq!(trailers, expected, "{code:?} in the trailers");
        }
    }

    #[test]
    fn the_wait_is_that_of_retry_info_else_of_pushback() {
        let wait = Duration::from_millis(1_500);
        let throttled = |retry_after| Outcome::Throttled { retry_after };
        let refusal = GrpcRefusal::resource_exhausted("").retry_after(wait);
        let response = refusal.pushback(true).into_response(&HeaderMap::new());
        assert_eq!(outcome(&response), throttled(Some(wait)));

        let mut only_pushback = response;
        only_pushback
            .headers_mut()
            .remove("grpc-status-details-bin");
        assert_eq!(outcome(&only_pushback), throttled(Some(wait)));

        let headers = only_pushback.headers_mut();
        headers.insert("grpc-retry-pushback-ms", "-1".parse().unwrap());
        assert_eq!(outcome(&only_pushback), throttled(None));
    }

    /// HTTP 200 is no success: the status is still to come.
    #[test]
    fn a_status_that_is_to_come_is_awaited() {
        assert_eq!(outcome(&Response::new(())), Outcome::Pending);
        let cut_off = GrpcClassifier::default().trailers(&HeaderMap::new());
        assert_eq!(cut_off, Outcome::Failure);
    }

    #[test]
    fn a_bare_http_answer_is_understood_as_one() {
        let cases = [
            (503, "0", Outcome::Failure),
            (502, "14", Outcome::Failure),
            (404, "12", Outcome::Success),
            (429, "14", Outcome::Throttled { retry_after: None }),
        ];
        for (status, grpc_status, expected) in cases {
            let response = Response::builder()
                .status(status)
                .header("grpc-status", grpc_status)
                .body(())
                .unwrap();
            assert_eq!(outcome(&response), expected, "{status}");
        }
    }

    #[test]
    fn errors_and_our_own_refusals() {
        let result: Result<&Response<()>, &&str> = Err(&"connection refused");
        assert_eq!(GrpcClassifier::default().classify(result), Outcome::Failure);

        let mut response = GrpcRefusal::unavailable("").into_response(&HeaderMap::new());
        LocalRefusal::new(None).mark(&mut response);
        assert_eq!(outcome(&response), Outcome::Ignored);
    }
}
