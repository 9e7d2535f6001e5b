use std::sync::TryLockError;

use super::{Counts, ring::Ring};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock};

/// The counts of a sliding window, which many threads add to at once without waiting for each other.
///
/// # What it costs
///
/// One atomic addition and three loads per call. When a slice ends, one of the callers puts it away, which
/// looks at ten slices at most; the others go on meanwhile, and theirs counts as the next slice's.
///
/// # Why nothing is lost
///
/// The open slice is one word, to which calls are added. Whoever puts it away takes it out with a swap, so
/// each call is in the word or in the ring, and never in both. Between the swap and the moment when the new
/// sum is visible, others may see too few calls; hence whoever would open the circuit
/// [asks again](Self::exactly), under the lock. Nor does a call that should open it go unnoticed: of the
/// callers at such a moment, the one who puts the slice away adds his own call last, or sees all others'.
///
/// What every call writes has a cache line of its own; what every call only reads, and what the owner reads
/// `beside` it, stand together in the next.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Window<R> {
    open: Line<AtomicU64>,
    past: Past,
    pub(super) beside: R,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line<T>(T);

/// The sum of the slices that are put away.
#[derive(Debug, Default)]
struct Past {
    calls: AtomicU64,
    failures: AtomicU64,
    slow: AtomicU64,
}

impl<R> Window<R> {
    pub(super) fn of(slices: u64, beside: R) -> Self {
        Self {
            open: Line::default(),
            past: Past::default(),
            beside,
            ring: Mutex::new(Ring::of(slices)),
        }
    }

    /// Adds a call: what the window then holds.
    #[inline]
    pub(super) fn add(&self, call: Counts) -> Counts {
        if self.open_calls() >= Counts::FULL && !self.put_away() {
            // A million calls in one slice, and somebody is just putting them away: one more or less says
            // nothing.
            return Counts::default();
        }
        let call = call.pack();
        let before = self.open.0.fetch_add(call, Ordering::AcqRel);
        self.past().plus(Counts::unpack(before.wrapping_add(call)))
    }

    /// The calls in the open slice, but for those that were [put away](Self::put_away).
    #[inline]
    pub(super) fn open_calls(&self) -> u64 {
        Counts::unpack(self.open.0.load(Ordering::Relaxed)).calls
    }

    #[inline]
    fn past(&self) -> Counts {
        let past = &self.past;
        Counts {
            calls: past.calls.load(Ordering::Acquire),
            failures: past.failures.load(Ordering::Relaxed),
            slow: past.slow.load(Ordering::Relaxed),
        }
    }

    /// Ends the open slice and begins the slice `number`, unless another thread is at it: then this one
    /// need not wait.
    #[cold]
    pub(super) fn turn(&self, number: u64, turned: impl FnOnce(u64)) {
        let Some(mut ring) = self.try_lock() else {
            return;
        };
        ring.add(Counts::unpack(self.open.0.swap(0, Ordering::AcqRel)));
        ring.turn_to(number);
        self.publish(&ring);
        turned(ring.newest());
    }

    /// Ends the open slice and begins the next one if so many `calls` are in it, unless another thread is at it.
    #[cold]
    pub(super) fn turn_after(&self, calls: u64) {
        let Some(mut ring) = self.try_lock() else {
            return;
        };
        ring.add(Counts::unpack(self.open.0.swap(0, Ordering::AcqRel)));
        if ring.newest_slice().calls >= calls {
            let next = ring.newest().wrapping_add(1);
            ring.turn_to(next);
        }
        self.publish(&ring);
    }

    /// Makes room in the open slice's word without ending the slice.
    #[cold]
    fn put_away(&self) -> bool {
        let Some(mut ring) = self.try_lock() else {
            return false;
        };
        ring.add(Counts::unpack(self.open.0.swap(0, Ordering::AcqRel)));
        self.publish(&ring);
        true
    }

    fn publish(&self, ring: &Ring) {
        let (past, total) = (&self.past, ring.total());
        past.failures.store(total.failures, Ordering::Relaxed);
        past.slow.store(total.slow, Ordering::Relaxed);
        past.calls.store(total.calls, Ordering::Release);
    }

    /// What the window holds, while nobody puts a slice away; or what it would if the slice `number` had
    /// begun.
    pub(super) fn exactly(&self, number: Option<u64>) -> Counts {
        let ring = lock(&self.ring);
        let open = Counts::unpack(self.open.0.load(Ordering::Acquire));
        match number {
            // The open slice is out of the window, too.
            Some(number) if number >= ring.newest().saturating_add(ring.slices()) => {
                Counts::default()
            }
            Some(number) => ring.total_at(number).plus(open),
            None => ring.total().plus(open),
        }
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Ring>> {
        match self.ring.try_lock() {
            Ok(ring) => Some(ring),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Forgets everything but the number of the open slice.
    pub(super) fn clear(&self) {
        let mut ring = lock(&self.ring);
        ring.clear();
        self.open.0.store(0, Ordering::Release);
        self.publish(&ring);
    }
}

#[cfg(all(test, loom))]
mod interleavings;
