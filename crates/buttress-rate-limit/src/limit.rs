mod in_force;

use std::sync::Arc;

use buttress_core::{Clock as _, ConfigError, Tick, clock::AnyClock};

pub(crate) use self::in_force::{InForce, Tag, in_proportion};
use crate::{Algorithm, IntoQuota, Overflow, Quota, algorithm::Kind};

/// One limit of a limiter: its name, its quota, its algorithm. Stores are asked about limits.
#[derive(Debug)]
pub struct Limit {
    name: Arc<str>,
    /// Its place among the limits of its limiter, and so among the tables of a store.
    ordinal: u8,
    quota: InForce,
    kind: Kind,
    overflow: Overflow,
    /// That of the limiter: when a quota changes is a time among those of its states.
    clock: AnyClock,
    /// Whether there are several keys, for which room is needed.
    keyed: bool,
    /// How often a key found no place. Only counted, and never waited for: it needs no order.
    overflowed: std::sync::atomic::AtomicU64,
}

/// The longest state: eight megabytes of a key's memory.
const MOST_WORDS: usize = 1 << 20;

impl Limit {
    pub(crate) fn build(
        name: Arc<str>,
        ordinal: u8,
        quota: Quota,
        kind: Kind,
        overflow: Overflow,
        clock: AnyClock,
    ) -> Result<Self, ConfigError> {
        let limit = Self {
            name,
            ordinal,
            quota: InForce::new(quota),
            kind,
            overflow,
            clock,
            keyed: true,
            overflowed: std::sync::atomic::AtomicU64::new(0),
        };
        limit.algorithm().supports(&quota)?;
        let words = limit.algorithm().words();
        if !(1..=MOST_WORDS).contains(&words) {
            return Err(ConfigError::new(
                "algorithm.words",
                words,
                "states of 1 to 1,048,576 words",
            ));
        }
        Ok(limit)
    }

    /// The same, for one key alone.
    pub(crate) fn without_keys(mut self) -> Self {
        self.keyed = false;
        self
    }

    /// For how many keys it needs room, where there is to be room for `max_keys`.
    pub(crate) fn room(&self, max_keys: usize) -> usize {
        if self.keyed { max_keys } else { 1 }
    }

    /// How often a key found no place in the store's memory, and [`overflow`](Self::overflow) decided.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn count_overflow(&self) {
        self.overflowed
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// The name under which it is reported.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it admits: the quota that is in force.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.in_force().0
    }

    /// Changes what it admits, from now on and for all keys, and keeps what they have used in proportion: who
    /// has used half of the old quota has used half of the new one. Nobody gets a burst by it, however
    /// often quotas are changed to and fro; what does not come out even is rounded against the caller, by less
    /// than one request. Those who wait for their turn keep it.
    ///
    /// It takes the same short time however many keys there are: each state is carried over when its key is
    /// next asked for. Requests that are decided at this moment are decided under one quota or the other,
    /// and what is settled of a request that was charged under the old one is converted in proportion.
    ///
    /// Quotas that were [resolved for a request](crate::Policy::quota_by) stay as they are. What a
    /// [`Store`](crate::Store) other than the one in memory makes of a change is its own affair.
    ///
    /// ```
    /// use buttress_http::ClientIp;
    /// use buttress_rate_limit::{Policy, RateLimitLayer};
    ///
    /// let layer = RateLimitLayer::http(Policy::new("per-ip", "100/min").key(ClientIp::peer())).build()?;
    /// let per_ip = layer.limit("per-ip").cloned();
    /// // Later, when the configuration was read again:
    /// if let Some(limit) = per_ip {
    ///     limit.set_quota("200/min")?;
    ///     assert!(limit.set_quota("none/min").is_err());
    ///     assert_eq!(limit.quota().count(), 200);
    /// }
    /// # Ok::<(), buttress_rate_limit::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where the quota cannot be expressed, where the algorithm does not support it, and where it is the 256th
    /// within the time in which a debt under the first of them comes back. The old one stays in force then.
    pub fn set_quota(&self, quota: impl IntoQuota) -> Result<(), ConfigError> {
        let quota = quota.into_quota()?;
        self.set_quota_at(quota, self.clock.now())
    }

    pub(crate) fn set_quota_at(&self, quota: Quota, now: Tick) -> Result<(), ConfigError> {
        self.quota.change(self.algorithm(), quota, now)
    }

    /// The quota that is in force, and its revision.
    #[inline]
    pub(crate) fn in_force(&self) -> (Quota, u64) {
        self.quota.get()
    }

    pub(crate) fn quotas(&self) -> &InForce {
        &self.quota
    }

    /// How it admits it.
    #[must_use]
    pub fn algorithm(&self) -> &dyn Algorithm {
        self.kind.algorithm()
    }

    /// What happens to a key for which the store has no room.
    #[must_use]
    pub fn overflow(&self) -> Overflow {
        self.overflow
    }

    pub(crate) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    #[inline]
    pub(crate) fn ordinal(&self) -> usize {
        usize::from(self.ordinal)
    }

    #[inline]
    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }
}
