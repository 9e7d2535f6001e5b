use std::time::Duration;

use buttress_core::ConfigError;

use crate::retry_after::{retry_after_seconds, seconds_up};

/// The static part of a policy: its name and its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaItem<'a> {
    /// The name, in printable ASCII, by which [`LimitItem`]s and problem reports speak of it.
    pub name: &'a str,

    /// How much may be had in a window (`q`). For a bucket, its capacity.
    pub quota: u64,

    /// How long the window is, in seconds (`w`), at least 1. For a bucket, the time it takes to fill.
    pub window_seconds: u64,

    /// What is counted (`qu`).
    pub unit: QuotaUnit,
}

impl<'a> QuotaItem<'a> {
    /// `quota` requests in `window_seconds`.
    #[must_use]
    pub const fn new(name: &'a str, quota: u64, window_seconds: u64) -> Self {
        Self {
            name,
            quota,
            window_seconds,
            unit: QuotaUnit::Requests,
        }
    }

    /// Counts something else than requests.
    #[must_use]
    pub const fn unit(mut self, unit: QuotaUnit) -> Self {
        self.unit = unit;
        self
    }
}

/// What a quota counts: the registered values of `qu` (draft-11 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QuotaUnit {
    /// Requests, which need not be said.
    #[default]
    Requests,

    /// Bytes of request content.
    ContentBytes,

    /// Requests that are in progress at the same time.
    ConcurrentRequests,
}

impl QuotaUnit {
    /// The value of `qu`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::ContentBytes => "content-bytes",
            Self::ConcurrentRequests => "concurrent-requests",
        }
    }
}

/// What is left of one policy, for one caller, at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitItem {
    /// How much may still be had (`r`, or `a`), rounded down.
    pub remaining: u64,

    /// How long until something can be had again. Read only where nothing remains.
    pub retry_after: Duration,

    /// How long until the quota is whole again, if nothing more is taken. Read only where something
    /// remains.
    pub reset_after: Duration,
}

impl LimitItem {
    /// So much is left; something can be had again after `retry_after`, and all of it after `reset_after`.
    #[inline]
    #[must_use]
    pub const fn new(remaining: u64, retry_after: Duration, reset_after: Duration) -> Self {
        Self {
            remaining,
            retry_after,
            reset_after,
        }
    }

    /// `r`, as it may be written.
    pub(super) fn r(&self) -> u64 {
        integer(self.remaining)
    }

    /// `t`. Drafts 08 to 10 call it the "seconds until additional quota is available", -11 the
    /// "effective window" of `r`: with nothing remaining the first is meant, else the second. Rounded up,
    /// or the caller comes back too early.
    pub(super) fn t(&self) -> u64 {
        if self.remaining == 0 {
            retry_after_seconds(self.retry_after)
        } else {
            integer(seconds_up(self.reset_after))
        }
    }
}

/// RFC 9651 §3.3.1 ends an Integer at fifteen digits.
pub(super) fn integer(number: u64) -> u64 {
    number.min(999_999_999_999_999)
}

/// The one to tell of where only one can be told of.
pub(super) fn closest_to_exhaustion<T>(
    told: impl Iterator<Item = (T, LimitItem)>,
) -> Option<(T, LimitItem)> {
    told.min_by_key(|(_, item)| (item.remaining, std::cmp::Reverse(item.t())))
}

pub(super) fn validate(policies: &[QuotaItem<'_>]) -> Result<(), ConfigError> {
    for (n, policy) in policies.iter().enumerate() {
        let name = policy.name;
        if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(ConfigError::new(
                "name",
                name.escape_debug(),
                "printable ASCII, at least one character",
            ));
        }
        // Who reads them may compare them without case.
        let mut earlier = policies.iter().take(n);
        if earlier.any(|earlier| earlier.name.eq_ignore_ascii_case(name)) {
            return Err(ConfigError::new(
                "name",
                name,
                "a name of its own per policy",
            ));
        }
        if policy.window_seconds == 0 {
            return Err(ConfigError::new("window_seconds", 0, "at least 1"));
        }
    }
    Ok(())
}
