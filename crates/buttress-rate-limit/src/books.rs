use std::sync::Arc;

use buttress_core::{Clock as _, Tick, clock::AnyClock};

use crate::{
    Decision, Limit, Quota, Store,
    held::Held,
    limiter::UNDECIDED,
    limits::MAX_POLICIES,
    ruling::Ruling,
    standing::{Asked, Standing, Terms},
    store::{Acquire, MemoryStore, Place, Stale},
    watcher::Watcher,
};

/// What is charged, and where that is kept.
pub(crate) struct Books {
    pub(crate) limits: Box<[Arc<Limit>]>,
    pub(crate) store: Backend,
    pub(crate) clock: AnyClock,
    pub(crate) watcher: Option<Watcher>,
}

/// The usual store is named, so that asking it costs no dynamic dispatch.
pub(crate) enum Backend {
    Memory(MemoryStore),
    Other(Arc<dyn Store>),
}

impl Books {
    pub(crate) fn rule_by_one<O>(
        self: &Arc<Self>,
        asked: Asked,
        then: impl FnOnce(Ruling<'_>) -> O,
    ) -> O {
        let mut asked = [asked];
        let mut decisions = [UNDECIDED];
        let now = self.now();
        let acquired = self.acquire(now, &mut asked, &mut decisions);
        self.conclude(acquired, now, &asked, &decisions, then)
    }

    /// The quota that was resolved for a request, if the policy's algorithm can keep it; else the policy's own
    /// remains.
    pub(crate) fn resolve_under(&self, limit: &Limit, asked: &mut Asked, quota: Quota) {
        match limit.algorithm().supports(&quota) {
            Ok(()) => {
                asked.terms = Terms::Resolved(quota);
            }
            Err(error) => {
                if let Some(watcher) = &self.watcher {
                    watcher.unsupported_quota(limit, &error);
                }
            }
        }
    }

    pub(crate) fn resolve(&self, asked: &mut Asked, quota: Quota) {
        if let Some(limit) = self.limits.get(asked.ordinal) {
            self.resolve_under(limit, asked, quota);
        }
    }

    /// Charges what is asked. Where a policy's quota was changed since it was read, what is asked is so under the
    /// one that is in force.
    pub(crate) fn acquire(
        &self,
        now: Tick,
        asked: &mut [Asked],
        decisions: &mut [Decision],
    ) -> Acquire {
        self.acquire_up_to::<MAX_POLICIES>(now, asked, decisions)
    }

    /// The same, for up to `N` policies.
    #[inline]
    pub(crate) fn acquire_up_to<const N: usize>(
        &self,
        now: Tick,
        asked: &mut [Asked],
        decisions: &mut [Decision],
    ) -> Acquire {
        loop {
            let Some(first) = self.limits.first() else {
                return Acquire::Admitted;
            };
            let mut charges = [Asked::NOTHING.of(first); N];
            for (place, asked) in charges.iter_mut().zip(&*asked) {
                if let Some(limit) = self.limits.get(asked.ordinal) {
                    *place = asked.of(limit);
                }
            }
            let charges = charges.get(..asked.len()).unwrap_or_default();
            match &self.store {
                Backend::Memory(store) => {
                    let mut shared = 0;
                    let acquired = store.try_acquire(now, charges, decisions, &mut shared);
                    if let Ok(acquired) = acquired {
                        if shared != 0 {
                            charged_to_shared(asked, shared);
                        }
                        return acquired;
                    }
                }
                Backend::Other(store) => return store.acquire(now, charges, decisions),
            }
            for asked in &mut *asked {
                if let Some(limit) = self.limits.get(asked.ordinal) {
                    asked.read_again(limit);
                }
            }
        }
    }

    /// Charges a policy that is only tried out.
    pub(crate) fn acquire_shadow(&self, limit: &Arc<Limit>, asked: &mut Asked) -> Option<Decision> {
        let Backend::Memory(store) = &self.store else {
            return None;
        };
        let now = self.now();
        loop {
            let mut decision = [UNDECIDED];
            match store.try_acquire(now, &[asked.of(limit)], &mut decision, &mut 0) {
                Ok(_) => return decision.first().copied(),
                Err(Stale) => asked.read_again(limit),
            }
        }
    }

    /// Charges what is asked, of as many policies as there may be, and rules.
    pub(crate) fn rule_by_all<O>(
        self: &Arc<Self>,
        now: Tick,
        asked: &mut [Asked],
        then: impl FnOnce(Ruling<'_>) -> O,
    ) -> O {
        self.rule_by_up_to::<MAX_POLICIES, _>(now, asked, then)
    }

    /// The same, of up to `N` policies.
    #[inline]
    pub(crate) fn rule_by_up_to<const N: usize, O>(
        self: &Arc<Self>,
        now: Tick,
        asked: &mut [Asked],
        then: impl FnOnce(Ruling<'_>) -> O,
    ) -> O {
        let mut decisions = [UNDECIDED; N];
        let made = decisions.get_mut(..asked.len()).unwrap_or_default();
        let acquired = self.acquire_up_to::<N>(now, asked, made);
        self.conclude(acquired, now, asked, made, then)
    }

    #[inline]
    pub(crate) fn conclude<O>(
        self: &Arc<Self>,
        acquired: Acquire,
        now: Tick,
        asked: &[Asked],
        decisions: &[Decision],
        then: impl FnOnce(Ruling<'_>) -> O,
    ) -> O {
        let refused_by = match acquired {
            Acquire::Admitted => None,
            Acquire::Refused { by } => Some(by),
            Acquire::Later(answer) => {
                let held = Held::of(self, asked.into(), now);
                return then(Ruling::Later { answer, held });
            }
        };
        self.report(now, asked, decisions, refused_by, |standing, by| {
            then(Ruling::of(standing, by))
        })
    }

    /// Tells the observer, and hands on how the policies stand, in the order of all, with the one that refused.
    #[inline]
    pub(crate) fn report<O>(
        &self,
        at: Tick,
        asked: &[Asked],
        decisions: &[Decision],
        refused_by: Option<u8>,
        then: impl FnOnce(Standing<'_>, Option<usize>) -> O,
    ) -> O {
        if let Some(watcher) = &self.watcher {
            self.tell(watcher, at, asked, decisions, refused_by);
        }
        let refused = |by| {
            asked
                .get(usize::from(by))
                .map_or(0, |asked: &Asked| asked.ordinal)
        };
        let by = refused_by.map(refused);
        if asked.len() == self.limits.len() && decisions.len() == asked.len() {
            return then(Standing::of(&self.limits, asked, decisions, at), by);
        }
        // Those of the policies that applied, among those of all.
        let mut all = [UNDECIDED; MAX_POLICIES];
        for (place, limit) in all.iter_mut().zip(&self.limits) {
            *place = Decision::untouched(&limit.quota());
        }
        for (asked, decision) in asked.iter().zip(decisions) {
            if let Some(place) = all.get_mut(asked.ordinal) {
                *place = *decision;
            }
        }
        let all = all.get(..self.limits.len()).unwrap_or_default();
        then(Standing::of(&self.limits, asked, all, at), by)
    }

    fn tell(
        &self,
        watcher: &Watcher,
        at: Tick,
        asked: &[Asked],
        decisions: &[Decision],
        refused_by: Option<u8>,
    ) {
        for (asked, decision) in asked.iter().zip(decisions) {
            // A policy that would have admitted what another one refused was not charged: nothing happened.
            if (refused_by.is_none() || !decision.is_admitted())
                && let Some(limit) = self.limits.get(asked.ordinal)
            {
                let (quota, _) = asked.terms.quota_of(limit);
                watcher.decided(at, limit, asked.key, quota, asked.cost, decision);
            }
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// Notes where that was charged of which it is not known, a moment ago.
    #[cold]
    pub(crate) fn note_places(&self, asked: &mut [Asked]) {
        let Backend::Memory(store) = &self.store else {
            return;
        };
        for asked in asked {
            if let (None, Some(limit)) = (asked.place, self.limits.get(asked.ordinal)) {
                asked.place = Some(store.place_of(limit, asked.key.into()));
            }
        }
    }

    pub(crate) fn position(&self, policy: &str) -> Option<usize> {
        self.limits.iter().position(|limit| limit.name() == policy)
    }

    /// Charges `by` more, or gives back, what was asked.
    pub(crate) fn settle(&self, now: Tick, asked: &Asked, by: i64) {
        let Some(limit) = self.limits.get(asked.ordinal) else {
            return;
        };
        let charge = asked.of(limit);
        match &self.store {
            Backend::Memory(store) => {
                // What is charged goes to where the key stands by now.
                let place = asked.place.filter(|_| by < 0);
                store.settle_at(now, &charge, place, by);
            }
            Backend::Other(store) => store.settle(now, &charge, by),
        }
    }
}

/// Notes which of what was asked was charged to the buckets that keys without a place share: a bit for each.
#[cold]
fn charged_to_shared(asked: &mut [Asked], shared: u64) {
    for (index, asked) in asked.iter_mut().enumerate() {
        asked.place = Some(Place::of(shared, index));
    }
}
