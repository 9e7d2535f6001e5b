use std::{borrow::Cow, time::Duration};

use axum::body::Body;
use buttress_http::{GrpcCode, LocalRefusal, Problem, retry_after_value};
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER},
};

/// An answer of the gateway's own, in whatever protocol it will be said. It travels as an extension of the
/// response that says it in problem+json.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// The kind in a word, for callers who tell errors apart by a code.
    pub(crate) code: &'static str,
    /// The kind in a sentence.
    pub(crate) detail: Cow<'static, str>,
    pub(crate) grpc: GrpcCode,
    /// When to come back, where that is known.
    pub(crate) retry_after: Option<Duration>,
}

/// Whether the response is no upstream's.
pub(crate) fn is_our_own(response: &Response<Body>) -> bool {
    response.extensions().get::<Refusal>().is_some() || LocalRefusal::of(response).is_some()
}

impl Refusal {
    /// No upstream may be called, for so long.
    pub(crate) fn upstreams_unavailable(retry_after: Option<Duration>) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "upstreams_unavailable",
            detail: match retry_after {
                Some(_) => {
                    "No upstream is called for now. Try again after the time in Retry-After."
                }
                None => "No upstream is called for now.",
            }
            .into(),
            grpc: GrpcCode::Unavailable,
            retry_after,
        }
    }

    /// The caller's API key is missing or not known.
    pub(crate) fn unauthorized(detail: &'static str) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            code: "invalid_api_key",
            detail: detail.into(),
            grpc: GrpcCode::Unauthenticated,
            retry_after: None,
        }
    }

    /// The response that says it as `problem`.
    pub(crate) fn into_response(self, problem: Problem) -> Response<Body> {
        let mut response = problem
            .detail(self.detail.clone())
            .into_response()
            .map(Body::from);
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, retry_after_value(wait));
        }
        response.extensions_mut().insert(self);
        response
    }
}
