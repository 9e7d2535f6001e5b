use std::{num::NonZeroU64, time::Duration};

use buttress_core::ConfigError;

use super::Quota;

/// 2⁶¹ nanoseconds, 73 years: the longest time in which a burst may refill. The sum of a tick, of a
/// full burst and of as much debt again then still fits into 64 bits.
pub(super) const LONGEST_REFILL: u64 = 1 << 61;

/// A [`Quota`] in the making; what is wrong with it is told by [`build`](Self::build), or by the limiter
/// that it is given to.
#[derive(Clone, Copy, Debug)]
#[must_use = "a quota does nothing until a limiter is built with it"]
pub struct QuotaBuilder {
    count: u64,
    period: Duration,
    burst: Option<u64>,
}

impl QuotaBuilder {
    pub(super) const fn starting_from(count: u64, period: Duration) -> Self {
        Self {
            count,
            period,
            burst: None,
        }
    }

    /// How many requests may be admitted at once; by default the quota's count.
    pub const fn burst(mut self, burst: u64) -> Self {
        self.burst = Some(burst);
        self
    }

    /// The quota.
    ///
    /// # Errors
    ///
    /// Where `count`, `period` or `burst` is zero, or the quota is beyond what a
    /// [`Quota` can express](Quota#what-it-can-express).
    pub fn build(self) -> Result<Quota, ConfigError> {
        let Some(count) = NonZeroU64::new(self.count) else {
            return Err(ConfigError::new("count", self.count, "at least 1"));
        };
        let burst = self.burst.unwrap_or(self.count);
        let Some(burst) = NonZeroU64::new(burst) else {
            return Err(ConfigError::new("burst", burst, "at least 1"));
        };
        let Some(period_nanos) = u64::try_from(self.period.as_nanos())
            .ok()
            .and_then(NonZeroU64::new)
        else {
            let value = format!("{:?}", self.period);
            return Err(ConfigError::new(
                "period",
                value,
                "more than zero and at most 73 years",
            ));
        };

        let interval_nanos = period_nanos.get().div_ceil(count.get());
        let Some(interval_nanos) = NonZeroU64::new(interval_nanos) else {
            return Err(ConfigError::new("period", 0, "more than zero"));
        };
        let asked = u128::from(period_nanos.get());
        let kept = u128::from(interval_nanos.get()) * u128::from(count.get());
        if kept - asked > asked / 100 {
            return Err(ConfigError::new(
                "count",
                format!("{count} per {:?}", self.period),
                "at most a billion per second and, above ten million, an interval of whole nanoseconds within one \
                 percent; count in larger units (KiB instead of bytes)",
            ));
        }

        let refill = u128::from(interval_nanos.get()) * u128::from(burst.get());
        if refill > u128::from(LONGEST_REFILL) {
            return Err(ConfigError::new(
                "burst",
                burst,
                "a burst that refills within 73 years",
            ));
        }
        Ok(Quota::of_nanos(count, period_nanos, burst, interval_nanos))
    }
}

impl TryFrom<QuotaBuilder> for Quota {
    type Error = ConfigError;

    fn try_from(builder: QuotaBuilder) -> Result<Self, ConfigError> {
        builder.build()
    }
}

/// What a limiter takes as its quota: a [`Quota`], a [`QuotaBuilder`], or text such as `"10/s burst 20"`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a quota",
    note = "a quota is `Quota::per_second(10).burst(20)`, a `Quota`, or text such as \"10/s burst 20\""
)]
pub trait IntoQuota {
    /// The quota.
    ///
    /// # Errors
    ///
    /// Where it cannot be expressed.
    fn into_quota(self) -> Result<Quota, ConfigError>;
}

impl IntoQuota for Quota {
    fn into_quota(self) -> Result<Quota, ConfigError> {
        Ok(self)
    }
}

impl IntoQuota for QuotaBuilder {
    fn into_quota(self) -> Result<Quota, ConfigError> {
        self.build()
    }
}

impl IntoQuota for &str {
    fn into_quota(self) -> Result<Quota, ConfigError> {
        self.parse()
    }
}

impl IntoQuota for String {
    fn into_quota(self) -> Result<Quota, ConfigError> {
        self.parse()
    }
}

impl IntoQuota for &String {
    fn into_quota(self) -> Result<Quota, ConfigError> {
        self.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: Duration = Duration::from_secs(365 * 86_400);

    /// R7 of the traps: so many in a second, and not one in so many seconds.
    #[test]
    fn names_mean_what_they_say() {
        for (quota, seconds) in [
            (Quota::per_second(20), 1),
            (Quota::per_minute(20), 60),
            (Quota::per_hour(20), 3_600),
            (Quota::per_day(20), 86_400),
        ] {
            let (quota, period) = (quota.build().unwrap(), Duration::from_secs(seconds));
            assert_eq!((quota.count(), quota.period()), (20, period));
            assert_eq!(quota.interval(), period / 20);
        }
    }

    #[test]
    fn from_one_a_year_to_a_billion_a_second() {
        assert_eq!(Quota::per(1, YEAR).build().unwrap().interval(), YEAR);
        assert_eq!(
            Quota::per_second(1_000_000_000).build().unwrap().interval(),
            Duration::from_nanos(1)
        );
    }

    #[test]
    fn the_interval_rounds_up_so_that_the_rate_is_never_higher() {
        let third = Quota::per_second(3).build().unwrap();
        assert_eq!(third.interval(), Duration::from_nanos(333_333_334));
    }

    #[test]
    fn the_burst_is_the_count_unless_told_otherwise() {
        assert_eq!(Quota::per_minute(100).build().unwrap().burst(), 100);
        assert_eq!(Quota::per_minute(100).burst(7).build().unwrap().burst(), 7);
    }

    #[test]
    fn what_cannot_work_is_said_by_name() {
        let cases = [
            (
                Quota::per_second(0),
                "count: `0` given, expected at least 1",
            ),
            (
                Quota::per_second(1).burst(0),
                "burst: `0` given, expected at least 1",
            ),
            (
                Quota::per(1, Duration::ZERO),
                "period: `0ns` given, expected more than zero",
            ),
            (Quota::per(1, Duration::MAX), "period: `"),
            (
                Quota::per_second(2_000_000_000),
                "count: `2000000000 per 1s` given",
            ),
            (
                Quota::per_second(700_000_000),
                "count: `700000000 per 1s` given",
            ),
            (Quota::per_second(u64::MAX), "count: `"),
            (
                Quota::per(1, YEAR).burst(74),
                "burst: `74` given, expected a burst that refills within 73 years",
            ),
            (Quota::per(1, YEAR).burst(u64::MAX), "burst: `"),
        ];
        for (quota, message) in cases {
            let error = quota.build().unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
