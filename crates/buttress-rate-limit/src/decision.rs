use std::{fmt, num::NonZeroU64, time::Duration};

use buttress_core::Tick;

use crate::Quota;

/// What an algorithm says of one request under one quota, and how the quota then stands.
///
/// Reckoned without looking at a clock again: the spans count from the `now` it was decided at.
// Words alone: with the verdict as a byte beside them, what is written in parts was read back as a whole,
// which a processor does not do before all parts have reached its cache.
#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// Nanoseconds until the same request would be admitted, or [`NEVER`]; or [`ADMITTED`], and added to
    /// it the nanoseconds of its delay.
    answer: u64,
    /// Nanoseconds until a request of cost 1 would be admitted.
    next_after: u64,
    /// Nanoseconds until the whole quota is there again.
    reset_after: u64,
    /// What is left, in `unit`s. Divided only when somebody asks: a division is a tenth of a check.
    spare: u64,
    unit: NonZeroU64,
}

/// Beyond any span of ticks, so that one comparison tells who is admitted.
const ADMITTED: u64 = 1 << 63;
/// The longest span of ticks.
const NEVER: u64 = ADMITTED - 1;

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

    /// The same, but not before its turn: whoever admits it waits for `delay` first. What was refused
    /// stays as it is.
    pub fn delayed(self, delay: Duration) -> Self {
        self.delayed_by_nanos(nanos(delay))
    }

    /// The same, by nanoseconds: no more than a span of ticks.
    #[inline]
    pub(crate) fn delayed_by_nanos(self, delay: u64) -> Self {
        if !self.is_admitted() {
            return self;
        }
        Self {
            answer: ADMITTED + delay.min(NEVER),
            ..self
        }
    }

    /// From nanoseconds and a count.
    #[inline]
    pub(crate) fn reckoned(
        verdict: Verdict,
        remaining: u64,
        retry_after: u64,
        next_after: u64,
        reset_after: u64,
    ) -> Self {
        Self {
            answer: answer(verdict, retry_after),
            next_after,
            reset_after,
            spare: remaining,
            unit: NonZeroU64::MIN,
        }
    }

    /// From nanoseconds alone: `remaining` of `unit` nanoseconds a request.
    #[inline]
    pub(crate) fn reckoned_in(
        unit: NonZeroU64,
        verdict: Verdict,
        remaining: u64,
        retry_after: u64,
        next_after: u64,
        reset_after: u64,
    ) -> Self {
        Self {
            unit,
            ..Self::reckoned(verdict, remaining, retry_after, next_after, reset_after)
        }
    }

    /// How a quota stands that was not asked: full.
    pub(crate) const fn untouched(quota: &Quota) -> Self {
        Self {
            answer: ADMITTED,
            next_after: 0,
            reset_after: 0,
            spare: quota.burst(),
            unit: NonZeroU64::MIN,
        }
    }

    /// A place for a decision, until there is one: a refusal, should filling it ever be forgotten.
    pub(crate) const fn undecided() -> Self {
        Self {
            answer: 0,
            next_after: 0,
            reset_after: 0,
            spare: 0,
            unit: NonZeroU64::MIN,
        }
    }

    /// From time alone: of a quota of `full` nanoseconds, `unit` nanoseconds a request, so much is `used`,
    /// which may be more.
    #[inline]
    pub(crate) fn by_time(
        verdict: Verdict,
        full: u64,
        used: u64,
        unit: NonZeroU64,
        retry_after: u64,
    ) -> Self {
        Self {
            answer: answer(verdict, retry_after),
            next_after: used.saturating_add(unit.get()).saturating_sub(full),
            reset_after: used,
            spare: full.saturating_sub(used),
            unit,
        }
    }

    /// The same, for a request that never should have been counted: admitted whatever it was.
    pub(crate) fn let_pass(self) -> Self {
        Self {
            answer: ADMITTED,
            ..self
        }
    }

    /// The same, refused for `retry_after`.
    pub(crate) fn held_back(self, retry_after: Duration) -> Self {
        Self {
            answer: nanos(retry_after),
            next_after: nanos(retry_after),
            spare: 0,
            ..self
        }
    }

    /// Whether the request may pass.
    #[must_use]
    #[inline]
    pub const fn is_admitted(&self) -> bool {
        self.answer >= ADMITTED
    }

    /// Whether it may pass without waiting for its turn.
    #[inline]
    pub(crate) const fn is_admitted_at_once(&self) -> bool {
        self.answer == ADMITTED
    }

    /// How it was answered.
    #[must_use]
    #[inline]
    pub const fn verdict(&self) -> Verdict {
        match self.answer {
            ADMITTED.. => Verdict::Admitted,
            NEVER => Verdict::CostExceedsBurst,
            _ => Verdict::Refused,
        }
    }

    /// After which time the same request would be admitted: exact to the nanosecond, refused until then.
    /// `None` where it was admitted, or never will be.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.answer {
            NEVER.. => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// For how long an admitted request has to wait before it proceeds, lest it come before its turn: zero
    /// with all algorithms but a [queue](crate::LeakyBucket::as_queue) and [`Pacing`](crate::Pacing).
    #[must_use]
    pub const fn delay(&self) -> Duration {
        Duration::from_nanos(self.answer.saturating_sub(ADMITTED))
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

    /// [`reset_after`](Self::reset_after), in nanoseconds.
    #[inline]
    pub(crate) const fn reset_after_nanos(&self) -> u64 {
        self.reset_after
    }

    /// How many requests of cost 1 would be admitted right after this one.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.spare / self.unit.get()
    }
}

#[inline]
const fn answer(verdict: Verdict, retry_after: u64) -> u64 {
    match verdict {
        Verdict::Admitted => ADMITTED,
        // At the end of time at the latest, which is not never.
        Verdict::Refused if retry_after < NEVER => retry_after,
        Verdict::Refused => NEVER - 1,
        Verdict::CostExceedsBurst => NEVER,
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("verdict", &self.verdict())
            .field("retry_after", &self.retry_after())
            .field("delay", &self.delay())
            .field("remaining", &self.remaining())
            .field("next_after", &self.next_after())
            .field("reset_after", &self.reset_after())
            .finish()
    }
}

/// A span in nanoseconds, at most that of all ticks.
fn nanos(span: Duration) -> u64 {
    Tick::from_duration(span).as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever has to wait until the end of time is not told that it is for good.
    #[test]
    fn the_longest_wait_is_not_never() {
        let refused = Decision::refused(0, Duration::MAX, Duration::MAX, Duration::MAX);
        assert_eq!(refused.verdict(), Verdict::Refused);
        let wait = refused.retry_after();
        assert!(wait.is_some_and(|wait| wait > Duration::from_secs(200 * 365 * 86_400)));

        let never = Decision::cost_exceeds_burst(0, Duration::ZERO, Duration::ZERO);
        assert_eq!(never.verdict(), Verdict::CostExceedsBurst);
        assert_eq!(never.retry_after(), None);
    }

    /// What was refused has no turn, and what was admitted may have any.
    #[test]
    fn only_what_was_admitted_is_delayed() {
        let second = Duration::from_secs(1);
        let refused = Decision::refused(0, second, second, second);
        assert_eq!(refused.delayed(second), refused);
        let admitted = Decision::admitted(3, Duration::ZERO, second);
        assert!(admitted.is_admitted_at_once());
        let delayed = admitted.delayed(Duration::MAX);
        assert!(delayed.is_admitted() && !delayed.is_admitted_at_once());
        assert_eq!((delayed.retry_after(), delayed.remaining()), (None, 3));
    }
}
