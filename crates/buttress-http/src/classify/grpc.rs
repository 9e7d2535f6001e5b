use buttress_core::{Classify, Outcome, clock::WallClock};
use http::{HeaderMap, Response, StatusCode};

use super::HttpClassifier;
use crate::{GrpcCode, LocalRefusal, grpc_status};

/// Understands gRPC responses by their `grpc-status`, wherever it stands.
///
/// | answer | outcome |
/// |---|---|
/// | one that carries [`LocalRefusal`] | [`Ignored`](Outcome::Ignored) |
/// | any HTTP status but 200 | what [`HttpClassifier`] says |
/// | 200 without a status in the headers | [`Pending`](Outcome::Pending): it follows in the trailers, for [`trailers`](Self::trailers) |
/// | `RESOURCE_EXHAUSTED`; `UNAVAILABLE` with a wait | [`Throttled`](Outcome::Throttled), with the wait |
/// | any other `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNKNOWN`, `DATA_LOSS` | [`Failure`](Outcome::Failure) |
/// | any other code | [`Success`](Outcome::Success) |
/// | an error instead of a response | [`Failure`](Outcome::Failure) |
///
/// The wait is told by `grpc-retry-pushback-ms`, by `RetryInfo`, or as in HTTP: see
/// [`RateLimitInfo`](crate::RateLimitInfo).
#[derive(Clone, Debug, Default)]
pub struct GrpcClassifier {
    http: HttpClassifier,
}

impl GrpcClassifier {
    /// Reckons dates on `clock`, see [`HttpClassifier::with_clock`].
    #[must_use]
    pub fn with_clock(clock: impl WallClock) -> Self {
        Self {
            http: HttpClassifier::with_clock(clock),
        }
    }

    /// The outcome that a body's trailers tell. Without a status in them the call was cut off, which
    /// gRPC calls `UNKNOWN`.
    #[must_use]
    pub fn trailers(&self, trailers: &HeaderMap) -> Outcome {
        self.status(trailers).unwrap_or(Outcome::Failure)
    }

    /// The outcome of the `grpc-status` in a map of headers or of trailers.
    fn status(&self, headers: &HeaderMap) -> Option<Outcome> {
        Some(match grpc_status(headers)? {
            GrpcCode::ResourceExhausted | GrpcCode::Unavailable => self.refusal(headers),
            GrpcCode::DeadlineExceeded
            | GrpcCode::Internal
            | GrpcCode::Unknown
            | GrpcCode::DataLoss => Outcome::Failure,
            _ => Outcome::Success,
        })
    }

    #[cold]
    fn refusal(&self, headers: &HeaderMap) -> Outcome {
        let info = self.http.info(StatusCode::OK, headers);
        if info.verdict().is_some() {
            Outcome::Throttled {
                retry_after: info.retry_after(),
            }
        } else {
            Outcome::Failure
        }
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
            Ok(response) => self.status(response.headers()).unwrap_or(Outcome::Pending),
        }
    }
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
    fn the_wait_is_that_of_pushback_else_of_retry_info() {
        let wait = Duration::from_millis(1_500);
        let throttled = |retry_after| Outcome::Throttled { retry_after };
        let refusal = GrpcRefusal::resource_exhausted("").retry_after(wait);
        let response = refusal.pushback(true).into_response(&HeaderMap::new());
        assert_eq!(outcome(&response), throttled(Some(wait)));

        let mut only_retry_info = response;
        let headers = only_retry_info.headers_mut();
        headers.remove("grpc-retry-pushback-ms");
        assert_eq!(outcome(&only_retry_info), throttled(Some(wait)));

        let headers = only_retry_info.headers_mut();
        headers.insert("grpc-retry-pushback-ms", "700".parse().unwrap());
        let sooner = Some(Duration::from_millis(700));
        assert_eq!(outcome(&only_retry_info), throttled(sooner));

        let headers = only_retry_info.headers_mut();
        headers.remove("grpc-status-details-bin");
        headers.insert("grpc-retry-pushback-ms", "-1".parse().unwrap());
        assert_eq!(outcome(&only_retry_info), throttled(None));
    }

    /// As a 503 with `Retry-After` does.
    #[test]
    fn who_is_unavailable_and_says_for_how_long_is_well() {
        let refusal = GrpcRefusal::unavailable("");
        let wait = Duration::from_millis(1_500);
        let until = refusal
            .clone()
            .retry_after(wait)
            .into_response(&HeaderMap::new());
        let retry_after = Some(wait);
        assert_eq!(outcome(&until), Outcome::Throttled { retry_after });
        let trailers = GrpcClassifier::default().trailers(until.headers());
        assert_eq!(trailers, Outcome::Throttled { retry_after });

        let mut never = refusal.into_response(&HeaderMap::new());
        let headers = never.headers_mut();
        headers.insert("grpc-retry-pushback-ms", "-1".parse().unwrap());
        assert_eq!(outcome(&never), Outcome::Failure);
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
