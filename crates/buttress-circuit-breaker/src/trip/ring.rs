use super::Counts;

/// Into how many slices a window is cut. It slides by a slice at a time.
pub(super) const SLICES: u64 = 10;

/// The counts of the last [`SLICES`] slices, of which the newest is still open.
///
/// Slices are numbered; what number a slice has, and when the next begins, is the caller's to say. Adding
/// up costs nothing: the total is kept, and what is forgotten is taken off it.
#[derive(Debug)]
pub(super) struct Ring {
    slices: Box<[Counts]>,
    newest: u64,
    total: Counts,
}

impl Ring {
    /// A ring whose open slice is the one with the number 0.
    pub(super) fn of(slices: u64) -> Self {
        Self {
            slices: (0..slices.max(1)).map(|_| Counts::default()).collect(),
            newest: 0,
            total: Counts::default(),
        }
    }

    /// Adds to the open slice.
    pub(super) fn add(&mut self, counts: Counts) {
        if let Some(slice) = self.slice(self.newest) {
            *slice = slice.plus(counts);
            self.total = self.total.plus(counts);
        }
    }

    /// Begins the slice `number`, and forgets what no longer belongs to the window. Looks at no more
    /// slices than there are.
    pub(super) fn turn_to(&mut self, number: u64) {
        let begun = number.saturating_sub(self.newest);
        for ahead in 1..=begun.min(self.slices.len() as u64) {
            let n = self.newest.wrapping_add(ahead);
            if let Some(slice) = self.slice(n) {
                let old = std::mem::take(slice);
                self.total = self.total.minus(old);
            }
        }
        self.newest = self.newest.max(number);
    }

    pub(super) fn slices(&self) -> u64 {
        self.slices.len() as u64
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// What was [added](Self::add) to the open slice.
    pub(super) fn newest_slice(&self) -> Counts {
        self.get(self.newest).copied().unwrap_or_default()
    }

    /// The sum over the window.
    pub(super) fn total(&self) -> Counts {
        self.total
    }

    /// What the sum over the window would be if the slice `number` had begun.
    pub(super) fn total_at(&self, number: u64) -> Counts {
        let len = self.slices.len() as u64;
        let first = number.saturating_add(1).saturating_sub(len);
        let oldest = self.newest.saturating_add(1).saturating_sub(len);
        let kept = (first.max(oldest)..=self.newest).filter_map(|n| self.get(n));
        kept.fold(Counts::default(), |sum, slice| sum.plus(*slice))
    }

    pub(super) fn clear(&mut self) {
        self.slices.fill(Counts::default());
        self.total = Counts::default();
    }

    fn get(&self, number: u64) -> Option<&Counts> {
        let n = number.checked_rem(self.slices.len() as u64)?;
        self.slices.get(usize::try_from(n).ok()?)
    }

    fn slice(&mut self, number: u64) -> Option<&mut Counts> {
        let n = number.checked_rem(self.slices.len() as u64)?;
        self.slices.get_mut(usize::try_from(n).ok()?)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However slices are filled and skipped, the total is that of the last ones.
        #[test]
        fn the_total_is_that_of_the_last_slices(steps in prop::collection::vec((0_u64..25, 0_u64..5), 0..60), slices in 1_u64..12) {
            let mut ring = Ring::of(slices);
            let mut all: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            for (ahead, calls) in steps {
                now += ahead;
                let foreseen = ring.total_at(now);
                ring.turn_to(now);
                prop_assert_eq!(foreseen, ring.total());
                ring.add(Counts { calls, failures: calls / 2, slow: 0 });
                all.push((now, calls));
                let window = || all.iter().filter(|(at, _)| at + slices > now);
                prop_assert_eq!(ring.total().calls, window().map(|(_, calls)| calls).sum::<u64>());
                prop_assert_eq!(ring.total().failures, window().map(|(_, calls)| calls / 2).sum::<u64>());
            }
        }
    }

    #[test]
    fn going_back_changes_nothing() {
        let mut ring = Ring::of(3);
        ring.turn_to(7);
        ring.add(Counts::one(true, false));
        ring.turn_to(2);
        assert_eq!((ring.newest(), ring.total().calls), (7, 1));
    }
}
