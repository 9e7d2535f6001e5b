//! How answers are understood, and how a refusal reads.

mod http;
mod or_call;
mod typed;

use std::fmt;

use buttress_core::BoxFuture;

pub use self::{
    http::{Http, Waited},
    or_call::OrCall,
    typed::{ByResult, Typed},
};
use crate::{OwnedPermit, Refused};

/// Understands the answers of a service, and speaks in its place where a call is refused.
///
/// `T` is what is read of the request `Req`; `Rsp` and `E` are the inner service's. These are [`Http`], [`Typed`] and
/// [`OrCall`], and no others: what can be chosen is a method of the builder.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not understand a service that takes `{Req}` and answers `Result<{Rsp}, {E}>`",
    label = "`CircuitBreakerLayer::http` needs a service that answers with an `http::Response<_>`",
    note = "for services of other protocols use `CircuitBreakerLayer::typed`, whose refusals are errors",
    note = "a fallback service must take the same request and answer with the same response and error"
)]
pub trait Flavor<T: ?Sized, Req, Rsp, E>: Clone + sealed::Sealed {
    /// The response of the guarded service.
    type Response;
    /// The error of the guarded service.
    type Error;
    /// What is remembered of a request until its answer comes.
    type Asked;

    /// A request goes to the inner service.
    fn asked(&self, from: &T) -> Self::Asked;

    /// The inner service has answered: records what that means, now or when the end of the response is
    /// seen.
    ///
    /// # Errors
    ///
    /// Where the inner service failed.
    fn answered(
        asked: Self::Asked,
        permit: OwnedPermit,
        result: Result<Rsp, E>,
    ) -> Result<Self::Response, Self::Error>;

    /// A request is refused by the circuit breaker of this name.
    fn refuse(
        &self,
        request: Req,
        name: &str,
        refused: &Refused,
    ) -> Instead<Self::Response, Self::Error>;

    /// A response that nobody judges.
    fn unjudged(response: Rsp) -> Self::Response;

    /// An error that nobody judges.
    fn error(error: E) -> Self::Error;
}

/// What a caller gets in place of a call.
#[non_exhaustive]
pub enum Instead<Rsp, E> {
    /// An answer, at once.
    Now(Result<Rsp, E>),
    /// An answer from elsewhere.
    Later(BoxFuture<'static, Result<Rsp, E>>),
}

impl<Rsp, E> fmt::Debug for Instead<Rsp, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now(Ok(_)) => "Now(Ok(..))",
            Self::Now(Err(_)) => "Now(Err(..))",
            Self::Later(_) => "Later(..)",
        })
    }
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Http {}
    impl<C> Sealed for super::Typed<C> {}
    impl<F, S> Sealed for super::OrCall<F, S> {}
}
