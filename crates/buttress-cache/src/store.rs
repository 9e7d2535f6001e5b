//! Where responses are kept: in this process ([`Memory`], the default), or wherever a [`Store`] of your
//! own keeps them.

mod memory;

use std::{error::Error, fmt, sync::Arc};

use buttress_core::{BoxFuture, Digest};

pub use self::memory::Memory;
pub use crate::entry::{Entry, Variants};

/// Keeps entries by key, several variants under each.
///
/// A store decides nothing about what may be kept or served: that is the layer's to do. It may forget
/// whatever it likes, whenever it likes, and should let nothing live on for longer than
/// [`StoredHead::keep_for`](crate::rfc9111::StoredHead::keep_for) says.
///
/// None of the methods may block or panic: they are called where a request is polled, and where it is dropped.
///
/// Stores elsewhere answer with [`Answer::Later`]. One that fails is a store that has nothing: the
/// request goes upstream.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The variants that are kept under `key`.
    fn get(&self, key: Digest) -> Answer<Variants>;

    /// Keeps `entry` under `key`, in the place of those in `replaced` and of the one that has the same
    /// [variant](crate::rfc9111::StoredHead::vary), if there is one. Whether it was kept.
    fn put(&self, key: Digest, entry: Arc<Entry>, replaced: &[Arc<Entry>]) -> Answer<bool>;

    /// Replaces `old` by `new`, which has another head and the same body: it was validated, or marked as
    /// stale. Without `new`, it is forgotten. Where `old` is no longer kept, nothing happens. Whether it
    /// was kept.
    fn update(&self, key: Digest, old: &Arc<Entry>, new: Option<Arc<Entry>>) -> Answer<bool>;

    /// Forgets what is kept under `key`, all variants of it. Whether there was something.
    fn invalidate(&self, key: Digest) -> Answer<bool>;

    /// Forgets everything.
    fn clear(&self) -> Answer<()>;

    /// What is kept, as far as the store knows without asking anybody.
    fn usage(&self) -> Usage {
        Usage::default()
    }
}

/// What a store answers.
#[must_use]
#[non_exhaustive]
pub enum Answer<T> {
    /// At once: what is in memory does not wait, and is not boxed.
    Now(T),
    /// When somebody else has answered.
    Later(BoxFuture<'static, Result<T, StoreError>>),
}

impl<T> Answer<T> {
    /// Waits for it, if need be.
    ///
    /// # Errors
    ///
    /// Where the store could not be asked.
    pub async fn wait(self) -> Result<T, StoreError> {
        match self {
            Self::Now(answer) => Ok(answer),
            Self::Later(answer) => answer.await,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(answer) => f.debug_tuple("Now").field(answer).finish(),
            Self::Later(_) => f.debug_tuple("Later").finish_non_exhaustive(),
        }
    }
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Keys under which something is kept.
    pub keys: usize,
    /// The bytes that are accounted for: bodies, header fields, overhead.
    pub bytes: u64,
    /// The bytes that there is room for.
    pub capacity: u64,
}

/// A store that could not be asked.
#[derive(Debug)]
pub struct StoreError(Box<dyn Error + Send + Sync>);

impl StoreError {
    /// For this reason.
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cache's store could not be asked")
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}
