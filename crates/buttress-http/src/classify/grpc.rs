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
