use std::{num::NonZeroU64, time::Duration};

use buttress_core::Tick;

/// What an algorithm says of one request under one quota, and how the quota then stands.
///
/// Reckoned without looking at a clock again: the spans count from the `now` it was decided at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    verdict: Verdict,
    /// Nanoseconds until the same request would be admitted; 0 where it was.
    retry_after: u64,
    /// Nanoseconds until a request of cost 1 would be admitted.
    next_after: u64,
    /// Nanoseconds until the whole quota is there again.
    reset_after: u64,
    /// What is left, in `unit`s. Divided only when somebody asks: a division is a tenth of a check.
    spare: u64,
    unit: NonZeroU64,
}

/// The three ways in which a request can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It may pass.
    Admitted,
    /// Not now, but after [`Decision::retry_after`].
    Refused,
    /// Not now and not later: it costs more than the whole burst.
    CostExceedsBurst,
}

impl Decision {
    /// Admitted, with `remaining` left, all of it back after `reset_after`, and the next request of cost
    /// 1 admitted after `next_after` (zero while anything remains).
    pub fn admitted(remaining: u64, next_after: Duration, reset_after: Duration) -> Self {
        Self::reckoned(
            Verdict::Admitted,
            remaining,
            0,
            nanos(next_after),
            nanos(reset_after),
        )
    }

    /// Refused; the same request would be admitted after `retry_after`. The other spans are those of
    /// [`admitted`](Self::admitted).
    pub fn refused(
        remaining: u64,
        retry_after: Duration,
        next_after: Duration,
        reset_after: Duration,
    ) -> Self {
        Self::reckoned(
            Verdict::Refused,
            remaining,
            nanos(retry_after),
            nanos(next_after),
            nanos(reset_after),
        )
    }

    /// Refused for good: the request costs more than the whole burst.
    pub fn cost_exceeds_burst(remaining: u64, next_after: Duration, reset_after: Duration) -> Self {
        Self::reckoned(
            Verdict::CostExceedsBurst,
            remaining,
            0,
            nanos(next_after),
            nanos(reset_after),
        )
    }

    fn reckoned(
        verdict: Verdict,
        spare: u64,
        retry_after: u64,
        next_after: u64,
        reset_after: u64,
    ) -> Self {
        Self {
            verdict,
            retry_after,
            next_after,
            reset_after,
            spare,
            unit: NonZeroU64::MIN,
        }
    }

    /// A place for a decision, until there is one: a refusal, should filling it ever be forgotten.
    pub(crate) const fn undecided() -> Self {
        Self {
            verdict: Verdict::Refused,
            retry_after: 0,
            next_after: 0,
            reset_after: 0,
            spare: 0,
            unit: NonZeroU64::MIN,
        }
    }

    /// From time alone: `spare` nanoseconds of `unit` nanoseconds a request.
    #[inline]
    pub(crate) fn by_time(
        verdict: Verdict,
        spare: u64,
        unit: NonZeroU64,
        retry_after: u64,
        reset_after: u64,
    ) -> Self {
        Self {
            verdict,
            retry_after,
            next_after: unit.get().saturating_sub(spare),
            reset_after,
            spare,
            unit,
        }
    }

    /// The same, for a request that never should have been counted: admitted whatever it was.
    pub(crate) fn let_pass(self) -> Self {
        Self {
            verdict: Verdict::Admitted,
            retry_after: 0,
            ..self
        }
    }

    /// The same, refused for `retry_after`.
    pub(crate) fn held_back(self, retry_after: Duration) -> Self {
        Self {
            verdict: Verdict::Refused,
            retry_after: nanos(retry_after),
            ..self
        }
    }

    /// Whether the request may pass.
    #[must_use]
    #[inline]
    pub const fn is_admitted(&self) -> bool {
        matches!(self.verdict, Verdict::Admitted)
    }

    /// How it was answered.
    #[must_use]
    #[inline]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// After which time the same request would be admitted: exact to the nanosecond, refused until then.
    /// `None` where it was admitted, or never will be.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.verdict {
            Verdict::Refused => Some(Duration::from_nanos(self.retry_after)),
            Verdict::Admitted | Verdict::CostExceedsBurst => None,
        }
    }

    /// After which time a request of cost 1 would be admitted; zero while any remains.
    #[must_use]
    pub const fn next_after(&self) -> Duration {
        Duration::from_nanos(self.next_after)
    }

    /// After which time the whole quota is there again.
    #[must_use]
    pub const fn reset_after(&self) -> Duration {
        Duration::from_nanos(self.reset_after)
    }

    /// How many requests of cost 1 would be admitted right after this one.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.spare / self.unit.get()
    }
}

/// A span in nanoseconds, at most that of all ticks.
fn nanos(span: Duration) -> u64 {
    Tick::from_duration(span).as_nanos()
}
