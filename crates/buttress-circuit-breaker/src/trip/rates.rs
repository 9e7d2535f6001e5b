use std::time::Duration;

use buttress_core::{ConfigError, Tick};

use super::{Call, Counts, ring::SLICES, window::Window};
use crate::{
    Reason,
    sync::{AtomicU64, Ordering},
};

/// Opens by rates over the last calls: at a share of failures, or of slow calls, whichever comes first.
///
/// | | if not given |
/// |---|---|
/// | [`failure_rate`](Self::failure_rate) | 50 % |
/// | [`slow_call_rate`](Self::slow_call_rate) | slow calls do not matter, and the start of a call is not timed |
/// | [`minimum_calls`](Self::minimum_calls) | 10, or all calls of a shorter window |
///
/// # The window
///
/// It slides in ten steps: of a window of 10 s, the calls of the last 9 to 10 s count; of one of 100
/// calls, the last 91 to 100. It holds ten sums, however many calls there are. A window of ten calls or
/// fewer slides by single calls; one of more is rounded up to whole steps, such as one of 95 to 100.
///
/// So a [minimum](Self::minimum_calls) that is as large as the window is met once in each step: of 100 calls, by
/// every tenth. One of nine tenths of it, or less, is met by each call.
///
/// ```
/// use std::time::Duration;
/// use buttress_circuit_breaker::Trip;
///
/// let trip = Trip::over_time(Duration::from_secs(10))
///     .failure_rate(0.5)
///     .slow_call_rate(0.8, Duration::from_secs(2))
///     .minimum_calls(20);
/// # let _ = trip;
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "it does nothing until a circuit breaker is built with it"]
pub struct RateTrip {
    span: Span,
    failure_rate: f64,
    slow: Option<(f64, Duration)>,
    minimum_calls: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Span {
    Time(Duration),
    Calls(u32),
}

/// A window of time is at most this long: a year.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// The calls below which a rate says nothing, unless told otherwise.
const DEFAULT_MINIMUM: u32 = 10;

impl RateTrip {
    pub(super) const fn over_time(span: Duration) -> Self {
        Self::over(Span::Time(span))
    }

    pub(super) const fn over_calls(calls: u32) -> Self {
        Self::over(Span::Calls(calls))
    }

    const fn over(span: Span) -> Self {
        Self {
            span,
            failure_rate: 0.5,
            slow: None,
            minimum_calls: None,
        }
    }

    /// Opens when this share of the calls failed: more than 0.0, at most 1.0. It is kept in millionths.
    pub const fn failure_rate(mut self, share: f64) -> Self {
        self.failure_rate = share;
        self
    }

    /// Opens when this share of the calls, more than 0.0 and at most 1.0, took `slow_after` or longer to
    /// answer: to the headers of the response, not to its end. Failures count as well as successes.
    /// What somebody else was waited for is not counted, where that is told: [`Waited`](crate::Waited),
    /// [`Permit::waited`](crate::Permit::waited).
    pub const fn slow_call_rate(mut self, share: f64, slow_after: Duration) -> Self {
        self.slow = Some((share, slow_after));
        self
    }

    /// So many calls must be in the window before their rates say anything (resilience4j's
    /// `minimumNumberOfCalls`).
    pub const fn minimum_calls(mut self, calls: u32) -> Self {
        self.minimum_calls = Some(calls);
        self
    }

    fn minimum(&self) -> u32 {
        self.minimum_calls.unwrap_or(match self.span {
            Span::Time(_) => DEFAULT_MINIMUM,
            Span::Calls(calls) => DEFAULT_MINIMUM.min(calls),
        })
    }

    pub(super) const fn slow_after(&self) -> Option<Duration> {
        match self.slow {
            Some((_, slow_after)) => Some(slow_after),
            None => None,
        }
    }

    pub(super) const fn is_over_time(&self) -> bool {
        matches!(self.span, Span::Time(_))
    }

    /// With how many failures, and how many slow ones, `count` probes are too bad.
    pub(super) fn of_probes(&self, count: u32) -> (u32, u32) {
        let slow = self.slow.map(|(share, _)| Ratio::of(share).share_of(count));
        (
            Ratio::of(self.failure_rate).share_of(count),
            slow.unwrap_or(u32::MAX),
        )
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self.span {
            Span::Time(span) if span < Duration::from_nanos(SLICES) || span > LONGEST => {
                return Err(ConfigError::new(
                    "over_time",
                    format!("{span:?}"),
                    "ten nanoseconds to a year",
                ));
            }
            Span::Calls(0) => return Err(ConfigError::new("over_calls", 0, "at least 1 call")),
            Span::Calls(calls) if self.minimum() > calls => {
                return Err(ConfigError::new(
                    "minimum_calls",
                    self.minimum(),
                    "no more calls than the window holds",
                ));
            }
            _ => {}
        }
        if self.minimum() == 0 {
            return Err(ConfigError::new("minimum_calls", 0, "at least 1"));
        }
        check_share("failure_rate", self.failure_rate)?;
        if let Some((share, slow_after)) = self.slow {
            check_share("slow_call_rate", share)?;
            if slow_after.is_zero() {
                let value = format!("{slow_after:?}");
                return Err(ConfigError::new("slow_after", value, "more than zero"));
            }
        }
        Ok(())
    }
}

fn check_share(field: &'static str, share: f64) -> Result<(), ConfigError> {
    // Less than half a millionth would be none at all. What is no number is in no range.
    if (0.000_001..=1.0).contains(&share) {
        Ok(())
    } else {
        Err(ConfigError::new(field, share, "more than 0.0, at most 1.0"))
    }
}

/// A share in millionths, so that 7 of 100 calls are exactly 7 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ratio(u32);

const WHOLE: u32 = 1_000_000;

impl Ratio {
    fn of(share: f64) -> Self {
        // A cast of a float saturates; the share was checked.
        Self((share * f64::from(WHOLE)).round() as u32)
    }

    /// Whether `part` of `whole` is at least this share.
    #[inline]
    fn is_reached(self, part: u64, whole: u64) -> bool {
        part.saturating_mul(WHOLE.into()) >= whole.saturating_mul(self.0.into())
    }

    /// The least part of `whole` that reaches it; at least 1.
    fn share_of(self, whole: u32) -> u32 {
        let part = (u64::from(whole) * u64::from(self.0)).div_ceil(WHOLE.into());
        u32::try_from(part).unwrap_or(u32::MAX).max(1)
    }
}

/// The rates of one circuit.
#[derive(Debug)]
pub(crate) struct Rates {
    window: Window<Beside>,
}

/// What is read with every call.
#[derive(Debug)]
struct Beside {
    pace: Pace,
    limits: Limits,
}

/// When a slice ends.
#[derive(Debug)]
struct Pace {
    /// How long a slice is, in nanoseconds or in calls.
    slice: u64,
    /// After how many calls those in the open slice are put away, over calls: all of a slice's at once, where so many fit
    /// into a word.
    part: u64,
    /// Over time, when the open slice ends; over calls always [`BY_CALLS`].
    ends_at: AtomicU64,
}

/// No clock gets there: [`Tick::MAX`] is earlier.
const BY_CALLS: u64 = u64::MAX;

impl Pace {
    fn by_time(&self) -> bool {
        self.ends_at.load(Ordering::Relaxed) != BY_CALLS
    }
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    failures: Ratio,
    slow: Option<Ratio>,
    minimum: u32,
}

impl Limits {
    #[inline]
    fn reached(&self, counts: Counts) -> Option<Reason> {
        // Most calls end here.
        if (counts.failures == 0 && counts.slow == 0) || counts.calls < self.minimum.into() {
            return None;
        }
        if counts.failures > 0 && self.failures.is_reached(counts.failures, counts.calls) {
            return Some(Reason::FailureRate);
        }
        let slow = self.slow?;
        (counts.slow > 0 && slow.is_reached(counts.slow, counts.calls))
            .then_some(Reason::SlowCallRate)
    }
}

impl Rates {
    pub(super) fn starting_with(trip: &RateTrip) -> Self {
        let (slice, slices, ends_at) = match trip.span {
            Span::Time(span) => {
                let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
                let slice = nanos.div_ceil(SLICES).max(1);
                (slice, SLICES, slice)
            }
            Span::Calls(calls) => {
                let calls = u64::from(calls).max(1);
                let slice = calls.div_ceil(SLICES);
                (slice, calls.div_ceil(slice), BY_CALLS)
            }
        };
        let beside = Beside {
            pace: Pace {
                slice,
                part: slice.div_ceil(slice.div_ceil(Counts::FULL).max(1)),
                ends_at: AtomicU64::new(ends_at),
            },
            limits: Limits {
                failures: Ratio::of(trip.failure_rate),
                slow: trip.slow.map(|(share, _)| Ratio::of(share)),
                minimum: trip.minimum(),
            },
        };
        Self {
            window: Window::of(slices, beside),
        }
    }

    #[inline]
    pub(super) fn record(&self, call: Call) -> Option<Reason> {
        let Beside { pace, limits } = &self.window.beside;
        // A slice ends when the next call comes: until then its own last call can still open the circuit.
        let ends_at = pace.ends_at.load(Ordering::Acquire);
        let now = call.at.as_nanos();
        if now >= ends_at {
            self.turn_to(now);
        } else if ends_at == BY_CALLS && self.window.open_calls() >= pace.part {
            self.window.turn_after(pace.slice);
        }
        let counts = self.window.add(Counts::one(call.failed, call.slow));
        limits.reached(counts)
    }

    #[cold]
    fn turn_to(&self, now: u64) {
        let Pace { slice, ends_at, .. } = &self.window.beside.pace;
        let Some(number) = now.checked_div(*slice) else {
            return;
        };
        self.window.turn(number, |number| {
            let end = number.saturating_add(1).saturating_mul(*slice);
            ends_at.store(end, Ordering::Release);
        });
    }

    pub(super) fn confirm(&self) -> Option<Reason> {
        self.window.beside.limits.reached(self.window.exactly(None))
    }

    pub(super) fn reset(&self) {
        self.window.clear();
    }

    pub(super) fn counts(&self, now: Tick) -> Counts {
        let pace = &self.window.beside.pace;
        let number = pace
            .by_time()
            .then(|| now.as_nanos().checked_div(pace.slice));
        self.window.exactly(number.flatten())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A tenth of it does not fit into the word of the open slice.
    #[test]
    fn a_window_of_twenty_million_calls_slides() {
        let rates = Rates::starting_with(&RateTrip::over_calls(20_000_000));
        let call = |failed| rates.record(Call::new(failed, Tick::ZERO));
        let at_once = 100_000;
        let many = |failures| {
            rates.window.add(Counts {
                calls: at_once - 1,
                failures: if failures { at_once - 1 } else { 0 },
                slow: 0,
            });
            call(failures)
        };
        for _ in 0..1_000 {
            assert_eq!(many(false), None);
        }
        let calls = rates.counts(Tick::ZERO).calls;
        assert!((18_000_000..=22_000_000).contains(&calls), "{calls}");
        let mut failures = 0;
        while many(true).is_none() {
            failures += at_once;
            assert!(failures < 12_000_000, "it does not slide");
        }
        assert!(failures >= 9_000_000, "{failures}");
    }
}
