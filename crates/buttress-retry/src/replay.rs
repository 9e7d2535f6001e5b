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
}

/// Keeps a clone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cloned;

impl<T: Clone> Replay<T> for Cloned {
    type Attempt = T;
    type Kept = T;

    #[inline]
    fn keep(&self, original: T) -> (T, T) {
        (original.clone(), original)
    }

    fn can_repeat(&self, _kept: &T) -> bool {
        true
    }

    fn again(&self, kept: &mut T) -> Option<T> {
        Some(kept.clone())
    }
}
