use std::sync::Arc;

use buttress_core::ConfigError;

use crate::{Algorithm, Overflow, Quota, algorithm::Kind, sync::AtomicU64};

/// One limit of a limiter: its name, its quota, its algorithm. Stores are asked about limits.
#[derive(Debug)]
pub struct Limit {
    name: Arc<str>,
    /// Its place among the limits of its limiter, and so among the tables of a store.
    ordinal: u8,
    quota: Quota,
    kind: Kind,
    overflow: Overflow,
    /// The state of the one bucket that all keys without a place share, see [`Overflow::Share`].
    shared: AtomicU64,
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
    ) -> Result<Self, ConfigError> {
        let limit = Self {
            name,
            ordinal,
            quota,
            kind,
            overflow,
            shared: AtomicU64::new(0),
            keyed: true,
            overflowed: std::sync::atomic::AtomicU64::new(0),
        };
        limit.algorithm().supports(&limit.quota)?;
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

    /// What it admits.
    #[must_use]
    pub fn quota(&self) -> &Quota {
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

    pub(crate) fn shared_bucket(&self) -> &AtomicU64 {
        &self.shared
    }
}
