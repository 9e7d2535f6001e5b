use std::{fmt, time::Duration};

/// Why there was no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// It worked.
    Success,
    /// It failed in a way that another attempt would not mend.
    NotRetryable,
    /// It might be mended, but part of it may have been done, and doing that twice is not known to be safe.
    NotSafe,
    /// The request cannot be sent again: its body was longer than what is remembered, or broke off.
    NotReplayable,
    /// All attempts were made.
    Attempts,
    /// The next attempt would have come too late.
    Deadline,
    /// The budget is spent: too many of all calls are being retried.
    Budget,
    /// The server said that another attempt is of no use, or is not welcome for longer than one may wait.
    GaveUp,
    /// The upstream had asked to be left alone for longer than one may wait; it was not called (again).
    Parked,
}

impl Ended {
    /// All of them.
    pub const ALL: &'static [Self] = &Self::EACH;

    pub(crate) const EACH: [Self; 9] = [
        Self::Success,
        Self::NotRetryable,
        Self::NotSafe,
        Self::NotReplayable,
        Self::Attempts,
        Self::Deadline,
        Self::Budget,
        Self::GaveUp,
        Self::Parked,
    ];

    /// The word for a metric's label: `success`, `not_retryable`, `not_safe`, `not_replayable`, `attempts`,
    /// `deadline`, `budget`, `gave_up`, `parked`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::NotRetryable => "not_retryable",
            Self::NotSafe => "not_safe",
            Self::NotReplayable => "not_replayable",
            Self::Attempts => "attempts",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
            Self::GaveUp => "gave_up",
            Self::Parked => "parked",
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "it worked",
            Self::NotRetryable => "another attempt would not help",
            Self::NotSafe => "another attempt might do it twice",
            Self::NotReplayable => "the request cannot be sent again",
            Self::Attempts => "all attempts were made",
            Self::Deadline => "another attempt would come too late",
            Self::Budget => "the retry budget is spent",
            Self::GaveUp => "the server wants no further attempt, or not within the longest wait",
            Self::Parked => "the upstream asked not to be called",
        })
    }
}

/// What became of a call: how often it was tried, how long it took, and why it ended.
///
/// It is an extension of an HTTP response that was tried more than once, or ended for another reason than that it
/// worked or cannot be mended, or [where asked for](crate::RetryBuilder::tell_always); and a part of the typed
/// [`Error`](crate::Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    attempts: u32,
    elapsed: Duration,
    ended: Ended,
}

impl Report {
    pub(crate) const fn new(attempts: u32, elapsed: Duration, ended: Ended) -> Self {
        Self {
            attempts,
            elapsed,
            ended,
        }
    }

    /// How often it was sent: 0 where the upstream was parked all the time.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The time from the call to its last answer, waits included.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Why there was no further attempt.
    #[must_use]
    pub const fn ended(&self) -> Ended {
        self.ended
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            attempts,
            elapsed,
            ended,
        } = self;
        let plural = if *attempts == 1 { "" } else { "s" };
        write!(f, "{attempts} attempt{plural} in {elapsed:?}: {ended}")
    }
}

/// Which attempt a request is, for whoever is further in: an extension of an HTTP request from the second attempt
/// on, or [where asked for](crate::RetryBuilder::tell_always) from the first.
///
/// One less is OpenTelemetry's `http.request.resend_count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(u32);

impl Attempt {
    pub(crate) const fn of(number: u32) -> Self {
        Self(number)
    }

    /// Counted from 1.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Whether there was an attempt before.
    #[must_use]
    pub const fn is_retry(self) -> bool {
        self.0 > 1
    }
}
