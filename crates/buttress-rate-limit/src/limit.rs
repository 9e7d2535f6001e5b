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
        match &self.kind {
            Kind::Gcra => &crate::algorithm::Gcra,
            Kind::Word(algorithm) | Kind::Words(algorithm) => &**algorithm,
        }
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
