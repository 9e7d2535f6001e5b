use std::time::Duration;

/// A point in time: whole nanoseconds since the origin of the [`Clock`](super::Clock) that gave it.
///
/// Ticks end at [`Tick::MAX`], 292 years after the origin: the sum of a tick and of any span that
/// Buttress works with still fits into 64 bits, so no decision can overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);

    /// The last tick: 2⁶³ − 1 nanoseconds after the origin.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// The tick `nanos` nanoseconds after the origin, or [`Tick::MAX`] where that is earlier.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        if nanos > Self::MAX.0 {
            Self::MAX
        } else {
            Self(nanos)
        }
    }

    /// The tick `since_origin` after the origin, or [`Tick::MAX`] where that is earlier.
    #[must_use]
    pub const fn from_duration(since_origin: Duration) -> Self {
        let nanos = since_origin.as_nanos();
        if nanos > Self::MAX.0 as u128 {
            Self::MAX
        } else {
            Self(nanos as u64)
        }
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// `span` later, or [`Tick::MAX`] where that is earlier.
    #[must_use]
    pub const fn saturating_add(self, span: Duration) -> Self {
        let nanos = span.as_nanos();
        if nanos > (Self::MAX.0 - self.0) as u128 {
            Self::MAX
        } else {
            Self(self.0 + nanos as u64)
        }
    }

    /// The time from `earlier` to here, or zero where `earlier` is later.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_time_is_a_value_and_no_overflow() {
        assert_eq!(Tick::from_nanos(u64::MAX), Tick::MAX);
        assert_eq!(Tick::from_duration(Duration::MAX), Tick::MAX);
        assert_eq!(Tick::MAX.saturating_add(Duration::from_nanos(1)), Tick::MAX);
        assert_eq!(Tick::ZERO.saturating_add(Duration::MAX), Tick::MAX);
    }

    #[test]
    fn a_duration_backwards_is_zero() {
        let later = Tick::from_nanos(7);
        assert_eq!(
            later.saturating_duration_since(Tick::ZERO),
            Duration::from_nanos(7)
        );
        assert_eq!(Tick::ZERO.saturating_duration_since(later), Duration::ZERO);
    }
}
