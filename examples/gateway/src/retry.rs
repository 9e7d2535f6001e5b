//! Which attempts are repeated, and when.
//!
//! A retry goes elsewhere: to the upstream that is preferred of those that the call has not been to, and back to
//! one of these only where no other may be called. So what an upstream asked for (429, `Retry-After`) binds that
//! one, which its circuit sees to, and not the retry; that waits for the upstream that is ready first. Where there is
//! one upstream, without a circuit, the retry keeps to its word itself. Where the wait is too long, the answer in hand
//! is handed on, at once and with the upstream's own words.
//!
//! Nothing is repeated once an answer's head is handed on: the first byte is the last word.

use std::{sync::Arc, time::Duration};

use buttress_core::{
    Observer,
    clock::{SystemWallClock, WallClock as _},
};
use buttress_http::RateLimitInfo;
use buttress_retry::{
    Budget, Buffered, ClassifyError, Ended, Event, Happening, Http, Judgment, RetryLayer,
    telemetry::{Metrics, Tracing},
};
use http::{HeaderMap, StatusCode};

use crate::{
    call::{Call, Decision},
    config::{RetryConfig, Throttled, Violation, retry_violation},
    failure::Failure,
    upstreams::Upstreams,
};

pub(crate) type Flavor = Http<Buffered, Elsewhere>;
pub(crate) type Layer = RetryLayer<Flavor>;

/// The layer around the attempts at `upstreams`.
pub(crate) fn layer(
    config: &RetryConfig,
    budget: Budget,
    upstreams: &Arc<Upstreams>,
    about: Throttled,
) -> Result<Layer, Violation> {
    let elsewhere = Elsewhere {
        upstreams: Arc::clone(upstreams),
        throttled: config.throttled,
        about,
    };
    let of_answers = elsewhere.clone();
    config
        .layer()
        .name("upstreams")
        .budget(budget)
        .classify(move |status, headers| of_answers.judge(status, headers))
        .classify_errors(elsewhere)
        .replay(Buffered::up_to(config.max_body))
        .observer((Noted, (Tracing, Metrics::default())))
        .build()
        .map_err(|error| retry_violation(&error))
}

/// What an attempt means where there may be another upstream.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    upstreams: Arc<Upstreams>,
    throttled: bool,
    /// Whom it is about when one says "too many".
    about: Throttled,
}

impl Elsewhere {
    /// `None` where the usual holds.
    fn judge(&self, status: StatusCode, headers: &HeaderMap) -> Option<Judgment> {
        // gRPC's refusals have a status in the headers of a 200.
        let may_be_one = status.is_client_error()
            || status.is_server_error()
            || headers.contains_key("grpc-status");
        if !may_be_one {
            return None;
        }
        let info = RateLimitInfo::of(status, headers, SystemWallClock.now());
        if info.should_retry() == Some(false) {
            return None;
        }
        if info.verdict().is_some() {
            // What is asked of the caller, or where there is nowhere else and no circuit that sees to it, binds the retry, too.
            let binds = self.about == Throttled::Caller || self.upstreams.is_one_without_circuit();
            return match (self.throttled, binds) {
                // The operator's word that nothing was done.
                (true, binds) => Some(Judgment::Unprocessed {
                    retry_after: if binds {
                        info.retry_after()
                    } else {
                        self.wait()
                    },
                }),
                (false, true) => None,
                (false, false) => Some(self.transient()),
            };
        }
        is_failure(status).then(|| self.transient())
    }

    fn transient(&self) -> Judgment {
        Judgment::Transient {
            retry_after: self.wait(),
        }
    }

    /// Until an upstream is ready, if none is.
    fn wait(&self) -> Option<Duration> {
        self.upstreams.ready_in().filter(|wait| !wait.is_zero())
    }
}

impl ClassifyError<Failure> for Elsewhere {
    fn classify_error(&self, failure: &Failure) -> Judgment {
        match failure {
            Failure::Unreachable | Failure::Unsent => Judgment::Unprocessed {
                retry_after: self.wait(),
            },
            Failure::BrokenOff | Failure::Late | Failure::Unasked => self.transient(),
            _ => Judgment::NotRetryable,
        }
    }
}

/// What opens a circuit: see `buttress_http::HttpClassifier`.
fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
        || status.is_server_error() && status.canonical_reason().is_none()
}

/// Writes retries into the record of the call.
#[derive(Clone, Copy, Debug)]
struct Noted;

impl Observer<Event<'_>> for Noted {
    fn observe(&self, event: &Event<'_>) {
        match event.happening {
            Happening::Retry { attempt, after, .. } => Call::note(|| {
                Decision::of("retry", "again")
                    .attempt(attempt)
                    .retry_after(Some(after))
            }),
            Happening::Call(report) => {
                let failed = !matches!(report.ended(), Ended::Success);
                if failed || report.attempts() > 1 {
                    Call::note(|| {
                        Decision::of("retry", report.ended().as_str()).attempt(report.attempts())
                    });
                }
            }
            _ => {}
        }
    }
}
