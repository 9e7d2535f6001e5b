use std::time::Duration;

/// What an answer, or its absence, says about the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The upstream did its work, be the answer a welcome one (200) or not (404).
    Success,

    /// The upstream is at fault: it broke, timed out or could not be reached.
    Failure,

    /// The upstream is well, and asked to be left alone for a while: no failure, but
    /// [`Park`](crate::Park) it.
    Throttled {
        /// For how long, where it said so.
        retry_after: Option<Duration>,
    },

    /// Says nothing about the upstream: the refusal was made on this side, or the call was given up.
    Ignored,

    /// Not known yet: the headers are fine, the verdict is in the body's end or its trailers.
    Pending,
}

/// Understands an answer: the one place where a status, a trailer or an error becomes an [`Outcome`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot classify responses of type `{Rsp}` with errors of type `{E}`",
    label = "this classifier does not understand the service's `Result<{Rsp}, {E}>`",
    note = "a closure `Fn(Result<&Rsp, &E>) -> Outcome` is a classifier"
)]
pub trait Classify<Rsp, E> {
    /// What `result` says about the upstream.
    fn classify(&self, result: Result<&Rsp, &E>) -> Outcome;
}

impl<Rsp, E, F> Classify<Rsp, E> for F
where
    F: Fn(Result<&Rsp, &E>) -> Outcome,
{
    fn classify(&self, result: Result<&Rsp, &E>) -> Outcome {
        self(result)
    }
}
