//! Sending a request again.

mod body;
mod buffered;

pub use self::{
    body::{ReplayBody, ReplayError},
    buffered::{Buffered, Kept},
};

/// Keeps of a request, or of its body, what it takes to send it again.
///
/// For HTTP `T` is the body: the head is always kept. Elsewhere it is the whole request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot keep a `{T}` to send it again",
    note = "`Cloned` keeps whatever is `Clone`; `Buffered` keeps HTTP bodies whose data is `bytes::Bytes`"
)]
pub trait Replay<T> {
    /// What is sent.
    type Attempt;
    /// What is kept.
    type Kept;

    /// Divides `original` into what is sent first and what is kept.
    fn keep(&self, original: T) -> (Self::Attempt, Self::Kept);

    /// Whether [`again`](Self::again) would work, as things stand.
    fn can_repeat(&self, kept: &Self::Kept) -> bool;

    /// What is sent next, if it can be. The attempt before is over: what is left of it sends nothing any more.
    fn again(&self, kept: &mut Self::Kept) -> Option<Self::Attempt>;

    /// As [`again`](Self::again), for the last time: nothing need be kept any more.
    fn last(&self, kept: &mut Self::Kept) -> Option<Self::Attempt> {
        self.again(kept)
    }
}

/// Keeps a clone: one for each attempt but the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cloned;

impl<T: Clone> Replay<T> for Cloned {
    type Attempt = T;
    /// `None` once the last attempt has it.
    type Kept = Option<T>;

    #[inline]
    fn keep(&self, original: T) -> (T, Option<T>) {
        (original.clone(), Some(original))
    }

    fn can_repeat(&self, kept: &Option<T>) -> bool {
        kept.is_some()
    }

    fn again(&self, kept: &mut Option<T>) -> Option<T> {
        kept.clone()
    }

    fn last(&self, kept: &mut Option<T>) -> Option<T> {
        kept.take()
    }
}
