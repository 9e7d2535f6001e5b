use std::error::Error;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use buttress_http::Problem;
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};

/// Why the gateway answers in the upstream's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection to the upstream could be made.
    Unreachable,
    /// The connection broke before an answer's headers were there, or what came was no HTTP.
    BrokenOff,
    /// The upstream took longer than `timeouts.response`.
    Late,
    /// The upstream switches protocols, and nobody asked it to.
    Unasked,
    /// The client's own body ended in an error.
    BadBody,
    /// What was asked for cannot be forwarded.
    BadTarget,
}

impl Failure {
    /// Says it to the operator; the client learns no more than the kind.
    pub(crate) fn because(self, error: &(dyn Error + 'static)) -> Self {
        let mut causes = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            causes = format!("{causes}: {error}");
            source = error.source();
        }
        tracing::warn!("{}: {causes}", self.detail());
        self
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Unreachable | Self::BrokenOff | Self::Unasked => StatusCode::BAD_GATEWAY,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
            Self::BadBody | Self::BadTarget => StatusCode::BAD_REQUEST,
        }
    }

    const fn detail(self) -> &'static str {
        match self {
            Self::Unreachable => "the upstream cannot be reached",
            Self::BrokenOff => "the upstream broke off before it answered",
            Self::Late => "the upstream took too long to answer",
            Self::Unasked => "the upstream switched protocols unasked",
            Self::BadBody => "the request's body ended before its end",
            Self::BadTarget => "the request's target cannot be forwarded",
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Problem::new(self.status())
            .detail(self.detail())
            .into_response()
            .map(Body::from);
        let no_store = HeaderValue::from_static("no-store");
        response.headers_mut().insert(CACHE_CONTROL, no_store);
        response
    }
}
