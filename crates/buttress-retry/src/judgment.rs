use std::time::Duration;

use buttress_core::Outcome;

/// What the outcome of one attempt means for the next.
///
/// Where there is a `retry_after`, it is somebody's word on when to come back: the wait is never shorter, and the
/// backoff has no say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Judgment {
    /// It worked.
    Success,

    /// It would turn out the same another time, or nobody knows better: the answer is handed on.
    NotRetryable,

    /// The server says that no further attempt is welcome, or that waiting does not help: a billing quota.
    GiveUp,

    /// It may work another time. Part of it may have been done: it is repeated only where that is safe.
    Transient {
        /// When to come back, if anybody said so.
        retry_after: Option<Duration>,
    },

    /// Nothing was processed, so that it may be repeated whatever it asks for: no connection came about, the
    /// request was never sent, or the refusal was made on this side.
    Unprocessed {
        /// When to come back, if anybody said so.
        retry_after: Option<Duration>,
    },

    /// The upstream is well, and asked to be left alone: nobody who shares the policy calls it until then. It is
    /// repeated only where that is safe.
    Throttled {
        /// When to come back, if the upstream said so.
        retry_after: Option<Duration>,
    },
}

impl Judgment {
    /// [`Judgment::Transient`], come back when you like.
    pub const TRANSIENT: Self = Self::Transient { retry_after: None };

    /// [`Judgment::Unprocessed`], come back when you like.
    pub const UNPROCESSED: Self = Self::Unprocessed { retry_after: None };

    /// Whether a further attempt may help.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Transient { .. } | Self::Unprocessed { .. } | Self::Throttled { .. }
        )
    }

    /// When to come back, if anybody said so.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Transient { retry_after }
            | Self::Unprocessed { retry_after }
            | Self::Throttled { retry_after } => retry_after,
            _ => None,
        }
    }
}

/// So that what judges for a circuit breaker judges for retries.
impl From<Outcome> for Judgment {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Failure => Self::TRANSIENT,
            Outcome::Throttled { retry_after } => Self::Throttled { retry_after },
            Outcome::Success | Outcome::Pending => Self::Success,
            _ => Self::NotRetryable,
        }
    }
}
