use std::sync::Arc;

use crate::sync::{AtomicUsize, Ordering};

/// How many bytes all bodies together may take: those that are on their way into the store, or those that are
/// held for readers who lag behind.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
}

/// Bytes that were taken from a [`Budget`], and go back when this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn of(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(bytes),
        })
    }

    /// A reservation of nothing yet.
    pub(crate) fn open(self: &Arc<Self>) -> Reservation {
        Reservation {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }
}

impl Reservation {
    /// Makes it `bytes` at least; `false` where there are not so many left.
    #[must_use]
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|&more| more > 0) else {
            return true;
        };
        let taken = self
            .budget
            .left
            // Nothing is published by it.
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(more)
            })
            .is_ok();
        if taken {
            self.bytes = bytes;
        }
        taken
    }
}

impl Reservation {
    /// The same of a length.
    #[must_use]
    pub(crate) fn takes(&mut self, length: u64) -> bool {
        usize::try_from(length).is_ok_and(|bytes| self.grow_to(bytes))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_not_there_for_others_until_it_is_given_back() {
        let budget = Budget::of(10);
        let (mut one, mut two) = (budget.open(), budget.open());
        assert!(one.grow_to(6) && one.grow_to(4));
        assert!(!two.grow_to(5) && two.grow_to(4));
        assert!(!one.grow_to(7));
        drop(one);
        assert!(two.grow_to(10));
        assert!(!two.grow_to(11));
    }
}
