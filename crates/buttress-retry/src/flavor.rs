//! How requests are sent again, and how answers are understood: HTTP and gRPC, or anything.

mod http;
mod typed;

use std::{future::Future, sync::Arc, time::Duration};

use buttress_core::{Digest, Random, Sleep};

pub(crate) use self::http::{Codes, DiscardLimits, Options, Trailers};
pub use self::{
    http::{AnyError, ClassifyError, Http, KeyForm, RequestTimeout, UpstreamAndCredential},
    typed::{OneUpstream, Typed},
};
use crate::{Judgment, Report, error::Failed};

/// How requests of type `Req` are sent, and sent again: [`Http`] or [`Typed`], with their
/// [`Replay`](crate::Replay).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot send a `{Req}` again",
    label = "`RetryLayer::http` sends an `http::Request<_>` whose body's data is `bytes::Bytes`",
    note = "for requests of another type use `RetryLayer::typed`, which asks for `Clone`",
    note = "the service inside takes `Request<ReplayBody<B>>`, not `Request<B>`: map the body below the layer, or keep bodies with `replay(Cloned)`"
)]
pub trait Outgoing<Req>: sealed::Sealed {
    /// What the inner service takes.
    type Attempt;
    /// What is remembered of a request until its call is over.
    type Call;

    /// What is sent first, and what is remembered. A tuple that is made once: every move of a head costs.
    #[doc(hidden)]
    fn begin(&self, request: Req, random: &Random) -> (Self::Attempt, Self::Call);

    /// How long the request itself says that it may take.
    #[doc(hidden)]
    fn timeout(&self, call: &Self::Call) -> Option<Duration>;

    /// What goes along with each attempt.
    #[doc(hidden)]
    fn prepare(&self, call: &Self::Call, attempt: &mut Self::Attempt, told: Told);

    #[doc(hidden)]
    fn can_repeat(&self, call: &Self::Call) -> bool;

    /// After the last one there is none.
    #[doc(hidden)]
    fn again(&self, call: &mut Self::Call, is_last: bool) -> Option<Self::Attempt>;

    /// Whom a park is about.
    #[doc(hidden)]
    fn key(&self, call: &Self::Call) -> Digest;
}

/// How answers `Result<Rsp, E>` to requests `Req` are understood.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not understand a service that answers `Result<{Rsp}, {E}>`",
    label = "`RetryLayer::http` needs a service that answers with an `http::Response<_>`",
    note = "for services of other protocols use `RetryLayer::typed`, with a classifier of this response and error",
    note = "a classifier of errors that was named must understand `{E}`"
)]
pub trait Flavor<Req, Rsp, E>: Outgoing<Req> {
    /// The response of the retried service.
    type Response;
    /// The error of the retried service.
    type Error;
    #[doc(hidden)]
    type Looking: Future<Output = Looked<Self::Response>> + Unpin;
    #[doc(hidden)]
    type Discarding: Future<Output = ()> + Unpin;

    #[doc(hidden)]
    fn judge(&self, call: &Self::Call, answer: Result<&Rsp, &Failed<E>>) -> Judged;

    /// Whether a response is no word of the upstream, but a refusal of this side.
    #[doc(hidden)]
    fn is_refused_here(response: &Self::Response) -> bool;

    /// Whether doing it twice, after this answer, is known to be harmless.
    #[doc(hidden)]
    fn is_safe(
        &self,
        call: &Self::Call,
        answer: &Result<Self::Response, Failed<E>>,
        judgment: Judgment,
    ) -> bool;

    /// Looks into a response whose head does not tell, for no longer than is left.
    #[doc(hidden)]
    fn look(
        &self,
        call: &Self::Call,
        response: Rsp,
        timer: &Arc<dyn Sleep>,
        left: Duration,
    ) -> Self::Looking;

    #[doc(hidden)]
    fn wrap(response: Rsp) -> Self::Response;

    /// Lets go of a response in a way that lets its connection be used again, for no longer than is left.
    #[doc(hidden)]
    fn discard(
        &self,
        call: &Self::Call,
        response: Self::Response,
        timer: &Arc<dyn Sleep>,
        left: impl FnOnce() -> Duration,
    ) -> Option<Self::Discarding>;

    /// What the caller gets in the end; with a report where it is to be told.
    #[doc(hidden)]
    fn finish(
        &self,
        call: &Self::Call,
        answer: Result<Self::Response, Failed<E>>,
        report: impl Fn() -> Report,
        tell: bool,
    ) -> Result<Self::Response, Self::Error>;

    /// The inner service failed before it was called.
    #[doc(hidden)]
    fn not_ready(error: E) -> Self::Error;
}

/// What is known when an attempt is sent.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// Counted from 1.
    pub number: u32,
    /// Until the deadline, if there is one.
    pub left: Option<Duration>,
    pub tell_always: bool,
}

/// A response that was looked into.
#[doc(hidden)]
#[derive(Debug)]
pub struct Looked<R> {
    pub response: R,
    pub judgment: Judgment,
    /// Whether its head told when to come back: then that counts from when the head came.
    pub told_by_head: bool,
}

#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    Known(Judgment),
    /// It is in the body.
    Look,
}

mod sealed {
    pub trait Sealed {}
}
