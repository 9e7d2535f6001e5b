//! How a refusal reads: as a response or as an error.

mod as_error;
mod as_response;

use std::{sync::Arc, time::Duration};

use buttress_core::MissingKey;

pub use self::{
    as_error::{AsError, Error},
    as_response::AsResponse,
};
use crate::{Decision, Limit, Refused, limiter::UNDECIDED};

/// Turns refusals into what the caller of a service understands.
///
/// `T` is what was read of the request, `Rsp` and `E` are the inner service's. [`AsResponse`] and
/// [`AsError`] are the two that come with the layer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot refuse requests to a service that answers `Result<{Rsp}, {E}>`",
    label = "`RateLimitLayer::http` needs a service that answers with an `http::Response<_>`",
    note = "for services of other protocols use `RateLimitLayer::typed`, whose refusals are errors"
)]
pub trait Refuse<T, Rsp, E>: Clone {
    /// The response of the limited service.
    type Response;
    /// The error of the limited service.
    type Error;
    /// What is remembered of an admission until the inner service has answered.
    type Pass;

    /// The request was admitted; so stand the policies, in their order.
    fn pass(&self, decisions: &[Decision]) -> Self::Pass;

    /// The inner service has answered a request that was admitted.
    ///
    /// # Errors
    ///
    /// Where the inner service failed.
    fn finish(pass: Self::Pass, result: Result<Rsp, E>) -> Result<Self::Response, Self::Error>;

    /// The request was refused.
    ///
    /// # Errors
    ///
    /// Where a refusal is an error.
    fn refuse(&self, from: &T, refusal: &Refusal<'_>) -> Result<Self::Response, Self::Error>;

    /// The inner service failed before it was called.
    fn error(error: E) -> Self::Error;
}

/// Why a request was refused, for those who render it.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    limits: &'a [Arc<Limit>],
    by: usize,
    cause: Cause<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Cause<'a> {
    OverLimit(&'a [Decision]),
    NoKey(&'a MissingKey),
}

impl<'a> Refusal<'a> {
    pub(crate) fn over_limit(
        limits: &'a [Arc<Limit>],
        by: usize,
        decisions: &'a [Decision],
    ) -> Self {
        Self {
            limits,
            by,
            cause: Cause::OverLimit(decisions),
        }
    }

    pub(crate) fn no_key(limits: &'a [Arc<Limit>], by: usize, missing: &'a MissingKey) -> Self {
        Self {
            limits,
            by,
            cause: Cause::NoKey(missing),
        }
    }

    /// The policy to name: of those that refuse, the one with the longest wait.
    #[must_use]
    pub fn policy(&self) -> &'a str {
        self.limits.get(self.by).map_or("", |limit| limit.name())
    }

    /// All policies that refuse.
    pub fn policies(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let Self { limits, by, cause } = *self;
        limits.iter().enumerate().filter_map(move |(index, limit)| {
            let refuses = match cause {
                Cause::OverLimit(decisions) => decisions
                    .get(index)
                    .is_some_and(|decision| !decision.is_admitted()),
                Cause::NoKey(_) => index == by,
            };
            refuses.then(|| limit.name())
        })
    }

    /// How each policy stands, in their order; empty where the request had no key.
    pub fn decisions(&self) -> &'a [Decision] {
        match self.cause {
            Cause::OverLimit(decisions) => decisions,
            Cause::NoKey(_) => &[],
        }
    }

    /// After which time the request would be admitted: `None` where it had no key, or can never be.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.decisions()
            .get(self.by)
            .and_then(Decision::retry_after)
    }

    /// Why there is no key, where that is the reason.
    #[must_use]
    pub fn missing_key(&self) -> Option<&'a MissingKey> {
        match self.cause {
            Cause::OverLimit(_) => None,
            Cause::NoKey(missing) => Some(missing),
        }
    }

    /// The refusal as an error.
    fn refused(&self) -> Refused {
        let decision = self.decisions().get(self.by).copied().unwrap_or(UNDECIDED);
        let burst = self.limit().map_or(0, |limit| limit.quota().burst());
        Refused::with_burst(burst, decision, 1)
    }

    fn index(&self) -> usize {
        self.by
    }

    fn limit(&self) -> Option<&'a Arc<Limit>> {
        self.limits.get(self.by)
    }
}
