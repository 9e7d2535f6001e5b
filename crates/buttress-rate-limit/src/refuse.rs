//! How a refusal reads: as a response or as an error.

mod as_error;
mod as_response;
mod by_result;
mod prepared;
mod settlement;
mod wire;

use std::{sync::Arc, time::Duration};

use buttress_core::MissingKey;

use self::settlement::Settlement;
pub use self::{
    as_error::{AsError, Error},
    as_response::AsResponse,
    by_result::SettleByResult,
};
pub(crate) use self::{
    as_response::{by_body, by_head},
    by_result::by_result,
    sealed::Drafted,
};
use crate::{Decision, Limit, Permit, Refused, Standing};

/// Turns refusals into what the caller of a service understands.
///
/// `T` is what was read of the request, `Rsp` and `E` are the inner service's. These are [`AsResponse`] and
/// [`AsError`], with or without rules that [settle](SettleByResult), and no others: what can be chosen is a method of the
/// builder.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot refuse requests to a service that answers `Result<{Rsp}, {E}>`",
    label = "`RateLimitLayer::http` needs a service that answers with an `http::Response<_>`",
    note = "for services of other protocols use `RateLimitLayer::typed`, whose refusals are errors"
)]
pub trait Refuse<T: ?Sized, Rsp, E>: Clone + Drafted {
    /// The response of the limited service.
    type Response;
    /// The error of the limited service.
    type Error;
    /// What is remembered of an admission until the inner service has answered.
    type Pass;

    /// The request may pass. So stand the policies, where any applies; the permit is there where
    /// somebody may settle.
    fn pass(&self, standing: Option<&Standing<'_>>, permit: Option<&Permit>) -> Self::Pass;

    /// Whether [`pass`](Self::pass) looks at how the policies stand; they need not be told if not.
    fn tells(&self) -> bool {
        true
    }

    /// Whether [`finish`](Self::finish) may settle, and so needs a permit.
    fn settles(&self) -> bool {
        false
    }

    /// The inner service has answered a request that was admitted.
    ///
    /// # Errors
    ///
    /// Where the inner service failed.
    fn forward(result: Result<Rsp, E>) -> Result<Self::Response, Self::Error>;

    /// Whether anything is remembered of an admission, and so to be [finished](Self::finish).
    fn remembers(pass: &Self::Pass) -> bool;

    /// Adds to the answer what is remembered of the admission, and settles by it.
    fn finish(pass: Self::Pass, result: &mut Result<Self::Response, Self::Error>);

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
    OverLimit(Standing<'a>),
    NoKey(&'a MissingKey),
    Denied,
}

impl<'a> Refusal<'a> {
    pub(crate) fn over_limit(by: usize, standing: Standing<'a>) -> Self {
        Self {
            limits: standing.limits(),
            by,
            cause: Cause::OverLimit(standing),
        }
    }

    pub(crate) fn no_key(limits: &'a [Arc<Limit>], by: usize, missing: &'a MissingKey) -> Self {
        Self {
            limits,
            by,
            cause: Cause::NoKey(missing),
        }
    }

    pub(crate) fn denied() -> Self {
        Self {
            limits: &[],
            by: 0,
            cause: Cause::Denied,
        }
    }

    /// The policy to name: of those that refuse, the one with the longest wait. Empty where the request
    /// was [denied](Self::is_denied).
    #[must_use]
    pub fn policy(&self) -> &'a str {
        self.limits.get(self.by).map_or("", |limit| limit.name())
    }

    /// All policies that refuse.
    pub fn policies(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let Self { limits, by, cause } = *self;
        limits.iter().enumerate().filter_map(move |(index, limit)| {
            let refuses = match cause {
                Cause::OverLimit(standing) => {
                    let decision = standing.decisions().get(index);
                    decision.is_some_and(|decision| !decision.is_admitted())
                }
                Cause::NoKey(_) => index == by,
                Cause::Denied => false,
            };
            refuses.then(|| limit.name())
        })
    }

    /// How the policies stand, where one of them refused.
    #[must_use]
    pub fn standing(&self) -> Option<&Standing<'a>> {
        match &self.cause {
            Cause::OverLimit(standing) => Some(standing),
            Cause::NoKey(_) | Cause::Denied => None,
        }
    }

    /// The decision of the policy that is named.
    pub fn decision(&self) -> Option<&'a Decision> {
        self.standing()?.decisions().get(self.by)
    }

    /// After which time the request would be admitted: `None` where it had no key, was denied, or can
    /// never be.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.decision().and_then(Decision::retry_after)
    }

    /// Why there is no key, where that is the reason.
    #[must_use]
    pub fn missing_key(&self) -> Option<&'a MissingKey> {
        match self.cause {
            Cause::NoKey(missing) => Some(missing),
            Cause::OverLimit(_) | Cause::Denied => None,
        }
    }

    /// Whether it was refused whatever the limits say: [`Access::Deny`](crate::Access::Deny).
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self.cause, Cause::Denied)
    }

    /// The refusal as an error.
    fn refused(&self) -> Option<Refused> {
        let (_, quota, decision) = self.standing()?.iter().nth(self.by)?;
        let cost = self
            .standing()?
            .asked()
            .iter()
            .find(|asked| asked.ordinal == self.by);
        Some(Refused::under(
            quota.burst(),
            *decision,
            cost.map_or(1, |asked| asked.cost),
        ))
    }

    fn index(&self) -> usize {
        self.by
    }

    fn limit(&self) -> Option<&'a Arc<Limit>> {
        self.limits.get(self.by)
    }
}

mod sealed {
    /// What a refusal reads as; nobody else's.
    pub trait Drafted {
        /// What is chosen of it while a layer is in the making.
        type Draft: Default;
    }

    impl Drafted for super::AsResponse {
        type Draft = super::as_response::Draft;
    }

    impl Drafted for super::AsError {
        type Draft = ();
    }

    impl<Rsp, E> Drafted for super::SettleByResult<Rsp, E> {
        type Draft = Vec<super::Settlement<super::by_result::Rule<Rsp, E>>>;
    }
}
