use std::{error, fmt, sync::Arc};

use buttress_core::MissingKey;

use super::{Refusal, Refuse};
use crate::{Permit, Refused, Standing};

/// A refusal is an [`Error`]: for services that do not speak HTTP.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsError;

/// The error of a limited service whose refusals are errors.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error<E> {
    /// A quota is used up.
    #[non_exhaustive]
    Refused {
        /// Whose quota; of several, the one with the longest wait.
        policy: Arc<str>,
        /// By how much, and for how long.
        refused: Refused,
    },
    /// The request has no key for a policy.
    #[non_exhaustive]
    MissingKey {
        /// For which one.
        policy: Arc<str>,
        /// What is missing.
        missing: MissingKey,
    },
    /// The request is refused whatever the limits say.
    Denied,
    /// The inner service's own error.
    Inner(E),
}

impl<E> Error<E> {
    /// After which time the request would be admitted, where it was refused only for now.
    #[must_use]
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Refused { refused, .. } => refused.retry_after(),
            Self::MissingKey { .. } | Self::Denied | Self::Inner(_) => None,
        }
    }

    /// The inner service's own error, by value.
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            Self::Refused { .. } | Self::MissingKey { .. } | Self::Denied => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The source says the rest; said here too, a report would show it twice.
            Self::Refused { policy, .. } => write!(f, "refused by the rate limit {policy:?}"),
            Self::MissingKey { policy, .. } => {
                write!(
                    f,
                    "the rate limit {policy:?} does not know whose request it is"
                )
            }
            Self::Denied => f.write_str("the request is denied"),
            Self::Inner(error) => write!(f, "the limited service failed: {error}"),
        }
    }
}

/// For every inner error that can be shown: tower's `BoxError` is no [`Error`](error::Error), and half of
/// tower's services fail with it. So the inner error is part of the text, and not the source.
impl<E: fmt::Debug + fmt::Display> error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Refused { refused, .. } => Some(refused),
            Self::MissingKey { missing, .. } => Some(missing),
            Self::Denied | Self::Inner(_) => None,
        }
    }
}

impl<T: ?Sized, Rsp, E> Refuse<T, Rsp, E> for AsError {
    type Response = Rsp;
    type Error = Error<E>;
    type Pass = ();

    #[inline]
    fn pass(&self, _: Option<&Standing<'_>>, _: Option<&Permit>) {}

    #[inline]
    fn tells(&self) -> bool {
        false
    }

    #[inline]
    fn forward(result: Result<Rsp, E>) -> Result<Rsp, Error<E>> {
        result.map_err(Error::Inner)
    }

    #[inline]
    fn remembers((): &()) -> bool {
        false
    }

    #[inline]
    fn finish((): (), _: &mut Result<Rsp, Error<E>>) {}

    fn refuse(&self, _from: &T, refusal: &Refusal<'_>) -> Result<Rsp, Error<E>> {
        let Some(limit) = refusal.limit() else {
            return Err(Error::Denied);
        };
        let policy = Arc::clone(limit.shared_name());
        Err(match (refusal.missing_key(), refusal.refused()) {
            (Some(missing), _) => Error::MissingKey {
                policy,
                missing: missing.clone(),
            },
            (None, Some(refused)) => Error::Refused { policy, refused },
            (None, None) => Error::Denied,
        })
    }

    #[inline]
    fn error(error: E) -> Error<E> {
        Error::Inner(error)
    }
}
