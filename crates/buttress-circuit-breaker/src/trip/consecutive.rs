use super::{Call, Counts};
use crate::{
    Reason,
    sync::{AtomicU64, Ordering},
};

/// Failures in a row: one word, which a success only reads where nothing failed before.
#[derive(Debug)]
pub(crate) struct Consecutive {
    row: AtomicU64,
    limit: u64,
}

impl Consecutive {
    pub(super) fn of(failures: u32) -> Self {
        Self {
            row: AtomicU64::new(0),
            limit: failures.into(),
        }
    }

    #[inline]
    pub(super) fn record(&self, call: Call) -> Option<Reason> {
        if call.failed {
            let row = self.row.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
            return (row >= self.limit).then_some(Reason::ConsecutiveFailures);
        }
        if self.row.load(Ordering::Relaxed) != 0 {
            self.row.store(0, Ordering::Release);
        }
        None
    }

    pub(super) fn confirm(&self) -> Option<Reason> {
        (self.row.load(Ordering::Acquire) >= self.limit).then_some(Reason::ConsecutiveFailures)
    }

    pub(super) fn reset(&self) {
        self.row.store(0, Ordering::Release);
    }

    pub(super) fn counts(&self) -> Counts {
        let row = self.row.load(Ordering::Acquire);
        Counts {
            calls: row,
            failures: row,
            slow: 0,
        }
    }
}
