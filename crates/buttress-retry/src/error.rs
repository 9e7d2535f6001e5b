use std::{error, fmt, time::Duration};

use crate::Report;

/// How an attempt ended that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed<E> {
    /// The service's own error.
    Inner(E),
    /// It took too long.
    TimedOut,
    /// It was not made: the upstream is parked for so long.
    Parked(Duration),
}

/// The error of a retried call where answers made here are errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error<E> {
    /// The service's own error: that of the last attempt.
    #[non_exhaustive]
    Inner {
        /// What the service says.
        error: E,
        /// What became of the call.
        report: Report,
    },
    /// The last attempt took longer than it may.
    #[non_exhaustive]
    TimedOut {
        /// What became of the call.
        report: Report,
    },
    /// The upstream asked not to be called for longer than one may wait.
    #[non_exhaustive]
    Parked {
        /// For how long.
        retry_after: Duration,
        /// What became of the call.
        report: Report,
    },
    /// The service was not ready, and failed, before there was a call.
    NotReady(E),
}

impl<E> Error<E> {
    /// What became of the call, if there was one.
    #[must_use]
    pub const fn report(&self) -> Option<Report> {
        match self {
            Self::Inner { report, .. }
            | Self::TimedOut { report }
            | Self::Parked { report, .. } => Some(*report),
            Self::NotReady(_) => None,
        }
    }

    /// For how long the upstream asked not to be called, where that ended it.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Parked { retry_after, .. } => Some(*retry_after),
            Self::Inner { .. } | Self::TimedOut { .. } | Self::NotReady(_) => None,
        }
    }

    /// The service's own error, if that is what it is.
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner { error, .. } | Self::NotReady(error) => Some(error),
            Self::TimedOut { .. } | Self::Parked { .. } => None,
        }
    }
}

impl<E> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The source says the rest; said here too, a report would show it twice.
            Self::Inner { report, .. } => write!(f, "the call failed: {report}"),
            Self::TimedOut { report } => write!(f, "the call timed out: {report}"),
            Self::Parked {
                retry_after,
                report,
            } => write!(
                f,
                "the call was not made, retry after {retry_after:?}: {report}"
            ),
            Self::NotReady(_) => f.write_str("the service is not ready"),
        }
    }
}

impl<E: error::Error + 'static> error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Inner { error, .. } | Self::NotReady(error) => Some(error),
            Self::TimedOut { .. } | Self::Parked { .. } => None,
        }
    }
}
