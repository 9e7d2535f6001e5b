use std::time::Duration;

use buttress_core::Digest;

use crate::{Ended, Judgment, Report};

/// What an observer hears of.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The policy's name.
    pub name: &'a str,
    /// What happened.
    pub happening: Happening,
}

/// What happened to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening {
    /// A call is over. One that is dropped before is not told of.
    Call(Report),
    /// An attempt failed, and another one is to follow: unless the caller leaves, its time is over, or its upstream is
    /// parked before that.
    #[non_exhaustive]
    Retry {
        /// The number of the attempt that failed, counted from 1.
        attempt: u32,
        /// How long is waited first.
        after: Duration,
        /// What the failure means.
        judgment: Judgment,
    },
    /// An upstream asked to be left alone for longer than was known, and will be.
    #[non_exhaustive]
    Parked {
        /// Which one: the digest of what [`park_by`](crate::RetryBuilder::park_by) tells upstreams apart by, under the
        /// [secret](crate::RetryBuilder::digest_key).
        key: Digest,
        /// For how long.
        span: Duration,
    },
    /// A call waits, because its upstream is parked.
    #[non_exhaustive]
    Held {
        /// Which one, as in [`Parked`](Self::Parked).
        key: Digest,
        /// For how long.
        wait: Duration,
    },
}

/// resilience4j's kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallKind {
    /// It worked at the first attempt.
    SuccessfulWithoutRetry,
    /// It worked at a later attempt.
    SuccessfulWithRetry,
    /// It failed, and was not retried.
    FailedWithoutRetry,
    /// It was retried, and failed all the same.
    FailedWithRetry,
}

impl CallKind {
    /// The kind of a call that is over. A 404 is no failure: it ends with [`Ended::Success`].
    #[must_use]
    pub const fn of(report: Report) -> Self {
        match (report.ended(), report.attempts()) {
            (Ended::Success, 0 | 1) => Self::SuccessfulWithoutRetry,
            (Ended::Success, _) => Self::SuccessfulWithRetry,
            (_, 0 | 1) => Self::FailedWithoutRetry,
            (_, _) => Self::FailedWithRetry,
        }
    }

    /// The word for a metric's label: `successful_without_retry`, `successful_with_retry`, `failed_without_retry`,
    /// `failed_with_retry`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SuccessfulWithoutRetry => "successful_without_retry",
            Self::SuccessfulWithRetry => "successful_with_retry",
            Self::FailedWithoutRetry => "failed_without_retry",
            Self::FailedWithRetry => "failed_with_retry",
        }
    }
}
