use buttress_core::Tick;

use super::{MemoryStore, Wanted};
use crate::{
    Decision,
    algorithm::Planned,
    limiter::UNDECIDED,
    store::{locked::Held, table::Slot},
};

/// The state of a key, as it was decided on.
pub(super) trait State<'a>: Sized {
    /// Decides; `None` where its key is not known by this quota, or where its state is of another kind.
    fn decide(
        store: &'a MemoryStore,
        now: Tick,
        wanted: Wanted<'a>,
        out: &mut Decision,
    ) -> Option<Self>;

    /// How it stands; `None` where only its summary is known.
    fn check(&mut self, now: Tick, wanted: &Wanted<'_>) -> Option<Decision>;

    /// Charges it, if it is one that is swapped; `false` where somebody else has changed it.
    fn swap(&self) -> bool;

    /// Whether it is.
    fn is_swapped(&self) -> bool;

    /// Charges it, if it is another.
    fn charge(&mut self, now: Tick);
}

/// One word, which is swapped for the next if it is still what was seen.
pub(super) struct Swapped<'a> {
    slot: Slot<'a>,
    next: u64,
}

/// One of these, or the summary of several words, which is swapped, too; or these themselves behind a lock, and what is to
/// be charged to them.
pub(super) enum Any<'a> {
    Swapped(Swapped<'a>),
    Summary(Swapped<'a>),
    Held(Held<'a>, Wanted<'a>, Planned),
}

impl<'a> State<'a> for Swapped<'a> {
    #[inline(always)]
    fn decide(
        store: &'a MemoryStore,
        now: Tick,
        wanted: Wanted<'a>,
        out: &mut Decision,
    ) -> Option<Self> {
        let slot = store.table(wanted.limit)?.look(wanted.key, wanted.tag)?;
        let kind = wanted.limit.kind();
        let next = kind.step(wanted.quota, slot.seen, now, wanted.cost, out);
        let next = next.unwrap_or(slot.seen);
        Some(Self { slot, next })
    }

    fn check(&mut self, now: Tick, wanted: &Wanted<'_>) -> Option<Decision> {
        let kind = wanted.limit.kind();
        let (seen, mut decision) = (self.slot.seen, UNDECIDED);
        kind.step(wanted.quota, seen, now, wanted.cost, &mut decision);
        Some(decision)
    }

    #[inline(always)]
    fn swap(&self) -> bool {
        self.next == self.slot.seen || self.slot.swap(self.next)
    }

    fn is_swapped(&self) -> bool {
        true
    }

    #[inline(always)]
    fn charge(&mut self, _: Tick) {}
}

impl<'a> State<'a> for Any<'a> {
    #[inline(always)]
    fn decide(
        store: &'a MemoryStore,
        now: Tick,
        wanted: Wanted<'a>,
        out: &mut Decision,
    ) -> Option<Self> {
        let kind = wanted.limit.kind();
        if !kind.is_long() {
            return Swapped::decide(store, now, wanted, out).map(Self::Swapped);
        }
        let known = store.locked(wanted.limit)?.look(wanted.key, wanted.tag)?;
        if let Some((summaries, slot)) = known.summary()
            && let Some((decision, next)) =
                kind.take_from_summary(summaries, wanted.quota, slot.seen, now, wanted.cost)
        {
            *out = decision;
            return Some(Self::Summary(Swapped { slot, next }));
        }
        let mut held = known.hold()?;
        let planned;
        (*out, planned) = kind.plan_words(wanted.quota, held.words(), now, wanted.cost);
        Some(Self::Held(held, wanted, planned))
    }

    fn check(&mut self, now: Tick, wanted: &Wanted<'_>) -> Option<Decision> {
        match self {
            Self::Swapped(swapped) => swapped.check(now, wanted),
            Self::Summary(_) => None,
            Self::Held(held, ..) => {
                let kind = wanted.limit.kind();
                Some(kind.check_words(wanted.quota, held.words(), now, wanted.cost))
            }
        }
    }

    #[inline]
    fn swap(&self) -> bool {
        match self {
            Self::Swapped(swapped) | Self::Summary(swapped) => swapped.swap(),
            Self::Held(..) => true,
        }
    }

    fn is_swapped(&self) -> bool {
        matches!(self, Self::Swapped(_) | Self::Summary(_))
    }

    #[inline]
    fn charge(&mut self, now: Tick) {
        if let Self::Held(held, wanted, planned) = self {
            let Wanted {
                limit, quota, cost, ..
            } = *wanted;
            let kind = limit.kind();
            held.charge(kind, quota, |words| {
                planned.charge(kind, quota, words, now, cost);
            });
        }
    }
}
