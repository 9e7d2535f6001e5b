//! How much, and how fast it comes back.

mod builder;
mod divisor;
mod parse;
#[cfg(feature = "serde")]
mod serde;

use std::{num::NonZeroU64, time::Duration};

pub use self::builder::{IntoQuota, QuotaBuilder};
use self::divisor::Divisor;

/// How many requests are admitted in which time, and how many of them at once.
///
/// A quota of `count` per `period` gives one request back every *interval* (`period / count`), up to
/// `burst` saved ones. Without a burst of its own it saves `count`: "100 a minute" admits a hundred at
/// once and then one every 600 ms. `burst(1)` spaces the requests out evenly.
///
/// ```
/// use buttress_rate_limit::Quota;
///
/// let quota = Quota::per_minute(100).burst(20).build()?;
/// assert_eq!("100/min burst 20".parse(), Ok(quota));
/// assert_eq!(quota.interval().as_millis(), 600);
/// # Ok::<(), buttress_rate_limit::ConfigError>(())
/// ```
///
/// # As text
///
/// `<count>/<period>[ burst <burst>]`, where the period is a unit with an optional factor: `10/s`,
/// `100/min burst 20`, `5/15min`. Units: `ns`, `us`, `ms`, `s` (`sec`, `second`), `m` (`min`, `minute`),
/// `h` (`hour`), `d` (`day`), `w` (`week`), `y` (`year`, of 365 days), the words with a plural `s` if you
/// like. Digits may be grouped with `_`. With the feature `serde` this text is also its serialised form.
///
/// # What it can express
///
/// From one per year to a billion per second. The interval is kept in whole nanoseconds, rounded up:
/// the rate is never higher than asked for, and lower by less than one nanosecond per request. Where
/// that would be off by more than one percent (odd rates above ten million a second), or where refilling
/// the burst would take longer than 73 years, [`QuotaBuilder::build`] returns an error instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    count: NonZeroU64,
    period_nanos: Divisor,
    burst: NonZeroU64,
    interval_nanos: NonZeroU64,
    /// As many intervals as the count is: the period, but for what the interval was rounded up by.
    step_nanos: Divisor,
}

/// How many words a quota is.
pub(crate) const WORDS: usize = 4;

impl Quota {
    /// `count` requests per second.
    pub const fn per_second(count: u64) -> QuotaBuilder {
        Self::per(count, Duration::from_secs(1))
    }

    /// `count` requests per minute.
    pub const fn per_minute(count: u64) -> QuotaBuilder {
        Self::per(count, Duration::from_secs(60))
    }

    /// `count` requests per hour.
    pub const fn per_hour(count: u64) -> QuotaBuilder {
        Self::per(count, Duration::from_secs(3_600))
    }

    /// `count` requests per day of 24 hours.
    pub const fn per_day(count: u64) -> QuotaBuilder {
        Self::per(count, Duration::from_secs(86_400))
    }

    /// `count` requests per `period`.
    pub const fn per(count: u64, period: Duration) -> QuotaBuilder {
        QuotaBuilder::starting_from(count, period)
    }

    /// Requests per [`period`](Self::period).
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count.get()
    }

    /// The time in which [`count`](Self::count) requests are given back.
    #[must_use]
    pub const fn period(&self) -> Duration {
        Duration::from_nanos(self.period_nanos.get().get())
    }

    /// The most requests that are admitted at once.
    #[must_use]
    pub const fn burst(&self) -> u64 {
        self.burst.get()
    }

    /// The time in which one request is given back.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval_nanos.get())
    }

    /// The time in which the whole burst is given back.
    #[must_use]
    pub const fn refill_time(&self) -> Duration {
        Duration::from_nanos(self.refill_nanos())
    }

    fn of_nanos(
        count: NonZeroU64,
        period: NonZeroU64,
        burst: NonZeroU64,
        interval: NonZeroU64,
    ) -> Self {
        Self {
            count,
            period_nanos: Divisor::new(period),
            burst,
            interval_nanos: interval,
            step_nanos: Divisor::new(interval.saturating_mul(count)),
        }
    }

    /// As words, which can be written and read one by one.
    pub(crate) const fn to_words(self) -> [u64; WORDS] {
        [
            self.count.get(),
            self.period_nanos.get().get(),
            self.burst.get(),
            self.interval_nanos.get(),
        ]
    }

    /// The quota of [such words](Self::to_words).
    pub(crate) fn from_words([count, period, burst, interval]: [u64; WORDS]) -> Self {
        let word = |word| NonZeroU64::new(word).unwrap_or(NonZeroU64::MIN);
        Self::of_nanos(word(count), word(period), word(burst), word(interval))
    }

    /// When the period began that `now` lies in, where they begin at the multiples of the period.
    #[inline]
    pub(crate) const fn period_start(&self, now: u64) -> u64 {
        now - self.period_nanos.remainder(now)
    }

    /// As many intervals as the count is.
    #[inline]
    pub(crate) const fn step_nanos(&self) -> NonZeroU64 {
        self.step_nanos.get()
    }

    /// When the [step](Self::step_nanos) began that `now` lies in, where they begin at its multiples.
    #[inline]
    pub(crate) const fn step_start(&self, now: u64) -> u64 {
        now - self.step_nanos.remainder(now)
    }

    /// [`period`](Self::period), in nanoseconds.
    #[inline]
    pub(crate) const fn period_nanos(&self) -> NonZeroU64 {
        self.period_nanos.get()
    }

    /// [`interval`](Self::interval), in nanoseconds.
    #[inline]
    pub(crate) const fn interval_nanos(&self) -> NonZeroU64 {
        self.interval_nanos
    }

    /// [`refill_time`](Self::refill_time), in nanoseconds; at most [`builder::LONGEST_REFILL`].
    #[inline]
    pub(crate) const fn refill_nanos(&self) -> u64 {
        // Held in bounds by `QuotaBuilder::build`.
        self.interval_nanos.get() * self.burst.get()
    }
}
