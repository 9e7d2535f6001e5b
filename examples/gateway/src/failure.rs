use std::error::Error;

use axum::{body::Body, response::Response};
use buttress_http::{GrpcCode, Problem};
use http::{HeaderValue, StatusCode, header::CONNECTION};

use crate::refusal::Refusal;

/// Why the gateway answers in the upstream's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection to the upstream could be made.
    Unreachable,
    /// The upstream closed the connection before any of the request was sent.
    Unsent,
    /// The connection broke before an answer's headers were there, or what came was no HTTP.
    BrokenOff,
    /// The upstream took longer than `timeouts.response`.
    Late,
    /// The upstream switches protocols, and nobody asked it to.
    Unasked,
    /// The client's own body ended in an error.
    BadBody,
    /// The client paused in the middle of its body for longer than `timeouts.client_idle`.
    ClientLate,
    /// The request says no host, or more than one.
    BadHost,
    /// What was asked for cannot be forwarded.
    BadTarget,
    /// The request's body is in a transfer coding that is not known.
    UnknownCoding,
    /// The upstream speaks HTTP/2 alone, and tunnels are of HTTP/1.1.
    NoTunnel,
    /// The request came through here too often.
    Loop,
}

impl Failure {
    /// Says it to the operator, with the upstream's name; the client learns no more than the kind.
    pub(crate) fn because(self, upstream: &str, error: &(dyn Error + 'static)) -> Self {
        let mut causes = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            causes = format!("{causes}: {error}");
            source = error.source();
        }
        tracing::warn!(upstream, "{}: {causes}", self.detail());
        self
    }

    /// Whether the upstream can do nothing about it.
    pub(crate) const fn is_the_clients(self) -> bool {
        matches!(
            self,
            Self::BadBody
                | Self::ClientLate
                | Self::BadHost
                | Self::BadTarget
                | Self::UnknownCoding
                | Self::NoTunnel
                | Self::Loop
        )
    }

    /// In a word, for the record of the call.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Unsent => "unsent",
            Self::BrokenOff => "broke_off",
            Self::Late => "late",
            Self::Unasked => "switched_protocols",
            Self::BadBody => "client_broke_off",
            Self::ClientLate => "client_late",
            Self::BadHost => "bad_host",
            Self::BadTarget => "bad_target",
            Self::UnknownCoding => "unknown_coding",
            Self::NoTunnel => "no_tunnel",
            Self::Loop => "loop",
        }
    }

    /// The answer, in problem+json.
    pub(crate) fn into_response(self) -> Response<Body> {
        let refusal = Refusal {
            status: self.status(),
            code: self.code(),
            detail: self.detail().into(),
            grpc: self.grpc(),
            retry_after: None,
        };
        let problem = Problem::new(self.status()).detail(self.detail());
        let mut response = refusal.into_response(problem);
        if self == Self::ClientLate {
            // RFC 9110 §15.5.9: nothing more is waited for here.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Unreachable | Self::Unsent | Self::BrokenOff | Self::Unasked => {
                StatusCode::BAD_GATEWAY
            }
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
            Self::BadBody | Self::BadHost | Self::BadTarget => StatusCode::BAD_REQUEST,
            Self::ClientLate => StatusCode::REQUEST_TIMEOUT,
            Self::NoTunnel | Self::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Loop => StatusCode::LOOP_DETECTED,
        }
    }

    const fn grpc(self) -> GrpcCode {
        match self {
            Self::Unreachable | Self::Unsent | Self::BrokenOff | Self::Unasked => {
                GrpcCode::Unavailable
            }
            Self::Late | Self::ClientLate => GrpcCode::DeadlineExceeded,
            Self::BadBody | Self::BadHost | Self::BadTarget => GrpcCode::InvalidArgument,
            Self::NoTunnel | Self::UnknownCoding => GrpcCode::Unimplemented,
            Self::Loop => GrpcCode::Internal,
        }
    }

    /// For callers who tell errors apart by a code.
    const fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "upstream_unreachable",
            Self::Unsent | Self::BrokenOff | Self::Unasked => "upstream_failed",
            Self::Late => "upstream_timeout",
            Self::BadBody => "body_incomplete",
            Self::ClientLate => "body_late",
            Self::BadHost => "host_invalid",
            Self::BadTarget => "target_invalid",
            Self::UnknownCoding => "transfer_coding_unsupported",
            Self::NoTunnel => "tunnel_unsupported",
            Self::Loop => "loop_detected",
        }
    }

    const fn detail(self) -> &'static str {
        match self {
            Self::Unreachable => "the upstream cannot be reached",
            Self::Unsent => "the upstream closed the connection before the request was sent",
            Self::BrokenOff => "the upstream broke off before it answered",
            Self::Late => "the upstream took too long to answer",
            Self::Unasked => "the upstream switched protocols unasked",
            Self::BadBody => "the request's body ended before its end",
            Self::ClientLate => "the rest of the request's body did not come in time",
            Self::BadHost => "the request must name one host",
            Self::BadTarget => "the request's target cannot be forwarded",
            Self::UnknownCoding => "of transfer codings only chunked is understood",
            Self::NoTunnel => "the upstream makes no tunnels",
            Self::Loop => "the request goes in a circle",
        }
    }
}
