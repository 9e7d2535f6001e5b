//! What a head tells.

use std::time::Duration;

use buttress_http::{Advice, GrpcCode, Head, LocalRefusal, Protocol, RateLimitInfo, grpc_status};
use http::{HeaderMap, HeaderName, Response, StatusCode};
use http_body::Body;

use super::{Options, Seek};
use crate::{Judgment, error::Failed, flavor::Judged};

const EARLY_DATA: HeaderName = HeaderName::from_static("early-data");

impl Options {
    #[inline]
    pub(super) fn judge<B: Body>(
        &self,
        head: &Head,
        protocol: Protocol,
        response: &Response<B>,
    ) -> Judged {
        let status = response.status();
        if self.classifier.is_none()
            && protocol == Protocol::Http
            && status.as_u16() < 400
            && response.extensions().is_empty()
        {
            return Judged::Known(Judgment::Success);
        }
        self.judge_closely(head, protocol, response)
    }

    fn judge_closely<B: Body>(
        &self,
        head: &Head,
        protocol: Protocol,
        response: &Response<B>,
    ) -> Judged {
        let (status, headers) = (response.status(), response.headers());
        if let Some(refusal) = LocalRefusal::of(response) {
            return Judged::Known(refused_here(refusal, status, headers));
        }
        if let Some(classifier) = &self.classifier
            && let Some(judgment) = classifier(status, headers)
        {
            return Judged::Known(judgment);
        }
        if protocol != Protocol::Http && status == StatusCode::OK {
            return match self.status_of(status, headers) {
                Some(judgment) => Judged::Known(judgment),
                None if self.awaits_trailers(head) => Judged::Look,
                // Committed.
                None => Judged::Known(Judgment::Success),
            };
        }
        if status.as_u16() < 400 {
            return Judged::Known(Judgment::Success);
        }
        // Who brought it in early data has to decide on that itself.
        if status == StatusCode::TOO_EARLY && head.headers().contains_key(EARLY_DATA) {
            return Judged::Known(Judgment::NotRetryable);
        }
        let info = self.info(status, headers);
        if info.needs_body() && !response.body().is_end_stream() {
            return Judged::Look;
        }
        Judged::Known(of_info(&info, status))
    }

    /// What to look for in a response of which the head does not tell.
    pub(super) fn seek<B>(&self, protocol: Protocol, response: &Response<B>) -> Seek {
        let status = response.status();
        match &self.trailers {
            Some(trailers) if protocol != Protocol::Http && status == StatusCode::OK => {
                Seek::Trailers {
                    max_bytes: trailers.max_bytes,
                    within: trailers.within,
                    options: self.clone().into(),
                }
            }
            _ => Seek::Hints {
                info: self.info(status, response.headers()),
                hints: self.hints.clone(),
                within: self.look_within,
            },
        }
    }

    /// What gRPC's status means, in a Trailers-Only response's headers or in trailers, if it is there.
    pub(super) fn status_of(&self, status: StatusCode, headers: &HeaderMap) -> Option<Judgment> {
        let code = grpc_status(headers)?;
        if code == GrpcCode::Ok {
            return Some(Judgment::Success);
        }
        let info = self.info(status, headers);
        let retry_after = info.retry_after();
        Some(match code {
            // Also where the code would not be repeated: proposal A6 counts it as a failure.
            _ if info.should_retry() == Some(false) => Judgment::GiveUp,
            code if !self.codes.has(code) => Judgment::NotRetryable,
            GrpcCode::ResourceExhausted => Judgment::Throttled { retry_after },
            _ => Judgment::Transient { retry_after },
        })
    }

    /// Whether one of the codes, by which a user vouches for calls of gRPC, is what gRPC would call this answer.
    pub(super) fn is_named<B: Body, E>(
        &self,
        answer: &Result<Response<B>, Failed<E>>,
        one_too_many: bool,
    ) -> bool {
        let has = |code| self.codes.has(code);
        let is_named = match answer {
            // It had a code itself, or else the user's classifier knows it.
            Ok(response) if response.status() == StatusCode::OK => true,
            Ok(response) => has(code_of(response.status())),
            Err(Failed::Inner(_)) => has(GrpcCode::Unavailable),
            // Of a server that is silent one knows as little as of one whose connection broke.
            Err(Failed::TimedOut | Failed::Parked(_)) => {
                has(GrpcCode::DeadlineExceeded) || has(GrpcCode::Unavailable)
            }
        };
        self.grpc_only && (is_named || one_too_many && has(GrpcCode::ResourceExhausted))
    }

    fn awaits_trailers(&self, head: &Head) -> bool {
        self.trailers
            .as_ref()
            .is_some_and(|trailers| (trailers.which)(head))
    }

    fn info(&self, status: StatusCode, headers: &HeaderMap) -> RateLimitInfo {
        RateLimitInfo::of(status, headers, self.wall_clock.now())
    }
}

/// Nothing was processed. What has no end in sight, such as a caller that is denied, is not to be repeated.
fn refused_here(refusal: LocalRefusal, status: StatusCode, headers: &HeaderMap) -> Judgment {
    if status.is_success() && grpc_status(headers).is_none() {
        // An answer in place of the refusal, such as a circuit breaker's fallback: whoever gave it did not want to wait.
        return Judgment::NotRetryable;
    }
    let retry_after = refusal.retry_after();
    let passes = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) || matches!(
        grpc_status(headers),
        Some(GrpcCode::ResourceExhausted | GrpcCode::Unavailable)
    );
    if retry_after.is_some() || passes {
        Judgment::Unprocessed { retry_after }
    } else {
        Judgment::NotRetryable
    }
}

/// What a response of 4xx or 5xx means, of which all is known.
pub(super) fn of_info(info: &RateLimitInfo, status: StatusCode) -> Judgment {
    if info.should_retry() == Some(false) {
        return Judgment::GiveUp;
    }
    if let Some(verdict) = info.verdict() {
        return match verdict.advice {
            // There is nowhere else to go from here: that is for the layers further out.
            Advice::RetryAfter(retry_after) | Advice::GoElsewhere(retry_after) => {
                let retry_after = retry_after.filter(is_told);
                Judgment::Throttled { retry_after }
            }
            _ => Judgment::GiveUp,
        };
    }
    if info.should_retry() == Some(true) || may_pass(status) {
        let retry_after = info.retry_after().filter(is_told);
        Judgment::Transient { retry_after }
    } else if status.is_server_error() {
        Judgment::NotRetryable
    } else {
        // The upstream did its work, be the answer a welcome one or not.
        Judgment::Success
    }
}

/// Whether a request was refused because it is one too many, which is refused before anything is done. What the server broke
/// down over may be half done, whatever it tells of a wait.
pub(super) fn is_one_too_many<B, E>(
    answer: &Result<Response<B>, Failed<E>>,
    judgment: Judgment,
) -> bool {
    let broke_down = answer
        .as_ref()
        .is_ok_and(|response| response.status().is_server_error());
    matches!(judgment, Judgment::Throttled { .. }) && !broke_down
}

/// What gRPC makes of a status that comes without one of its own, as far as it may be repeated ("HTTP to gRPC Status
/// Code Mapping").
const fn code_of(status: StatusCode) -> GrpcCode {
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => GrpcCode::Unavailable,
        _ => GrpcCode::Unknown,
    }
}

/// Zero is said for what is below a second, and by clocks that are behind: who took it at its word would spin.
const fn is_told(wait: &Duration) -> bool {
    !wait.is_zero()
}

fn may_pass(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => true,
        // A code that nobody registered is understood as 500 (RFC 9110 §15).
        status => status.is_server_error() && status.canonical_reason().is_none(),
    }
}
