use std::sync::atomic::{AtomicU64, Ordering};

use buttress_core::Digest;

/// A power of two.
const SLOTS: usize = 1024;

/// When a key was last invalidated, as a number that counts up.
///
/// What was asked for before an invalidation may be older than what caused it: it must not be stored
/// afterwards. Several keys share a number, which costs an answer its place in the store now and then.
#[derive(Debug)]
pub(crate) struct Epochs {
    all: AtomicU64,
    slots: Box<[AtomicU64]>,
}

/// When a fetch began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch {
    all: u64,
    key: u64,
}

impl Epochs {
    pub(crate) fn new() -> Self {
        Self {
            all: AtomicU64::new(0),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(crate) fn of(&self, key: Digest) -> Epoch {
        Epoch {
            all: self.all.load(Ordering::Acquire),
            key: self.slot(key).load(Ordering::Acquire),
        }
    }

    /// `key` is invalidated; to be called before the store is.
    pub(crate) fn advance(&self, key: Digest) {
        self.slot(key).fetch_add(1, Ordering::AcqRel);
    }

    /// Everything is.
    pub(crate) fn advance_all(&self) {
        self.all.fetch_add(1, Ordering::AcqRel);
    }

    fn slot(&self, key: Digest) -> &AtomicU64 {
        // In bounds: the mask is one less than their number.
        &self.slots[key.low() as usize & (SLOTS - 1)]
    }
}
