use std::sync::Arc;

use buttress_core::{Clock as _, Tick, clock::AnyClock};

use crate::{
    Decision, Limit, Store,
    held::Held,
    limiter::UNDECIDED,
    limits::MAX_POLICIES,
    ruling::{Later, Ruling},
    standing::{Asked, Standing},
    store::{Acquire, Answer, Charge, MemoryStore},
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
        limit: &Arc<Limit>,
        asked: Asked,
        then: impl FnOnce(Ruling<'_>) -> O,
    ) -> O {
        let asked = [asked];
        let [one] = &asked;
        let mut decisions = [UNDECIDED];
        let now = self.now();
        let acquired = self.acquire(now, &[one.of(limit)], &mut decisions);
        self.conclude(acquired, now, &asked, &decisions, then)
    }

    #[inline]
    pub(crate) fn acquire(
        &self,
        now: Tick,
        charges: &[Charge<'_>],
        decisions: &mut [Decision],
    ) -> Acquire {
        match &self.store {
            Backend::Memory(store) => store.acquire(now, charges, decisions),
            Backend::Other(store) => store.acquire(now, charges, decisions),
        }
    }

    /// Charges what is asked, and waits where the store does.
    pub(crate) async fn ask(&self, asked: &[Asked]) -> Answer {
        let mut decisions = vec![UNDECIDED; asked.len()];
        let acquired = {
            let limit = |asked: &Asked| self.limits.get(asked.ordinal);
            let charges: Vec<_> = asked
                .iter()
                .filter_map(|asked| Some(asked.of(limit(asked)?)))
                .collect();
            self.acquire(self.now(), &charges, &mut decisions)
        };
        match acquired {
            Acquire::Admitted => Answer {
                decisions,
                refused_by: None,
            },
            Acquire::Refused { by } => Answer {
                decisions,
                refused_by: Some(by),
            },
            Acquire::Later(answer) => answer.await,
        }
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
                let held = Held::of(self, asked, now);
                let answer = Later::Store(answer);
                return then(Ruling::Later { answer, held });
            }
        };
        if self.watcher.is_none() && asked.len() == self.limits.len() {
            let standing = Standing::of(&self.limits, asked, decisions, now);
            return then(match refused_by {
                None => Ruling::Admitted(standing),
                Some(by) => Ruling::Refused {
                    by: usize::from(by),
                    standing,
                },
            });
        }
        self.report(now, asked, decisions, refused_by, then)
    }

    /// Puts the decisions of those policies that applied into the order of all, tells the observer, and
    /// rules.
    pub(crate) fn report<O>(
        &self,
        at: Tick,
        asked: &[Asked],
        made: &[Decision],
        refused_by: Option<u8>,
        then: impl FnOnce(Ruling<'_>) -> O,
    ) -> O {
        let mut decisions = [UNDECIDED; MAX_POLICIES];
        for (place, limit) in decisions.iter_mut().zip(&self.limits) {
            *place = Decision::untouched(limit.quota());
        }
        let mut by = None;
        for (index, (asked, decision)) in asked.iter().zip(made).enumerate() {
            if let Some(place) = decisions.get_mut(asked.ordinal) {
                *place = *decision;
            }
            if refused_by.is_some_and(|by| usize::from(by) == index) {
                by = Some(asked.ordinal);
            }
            // A policy that would have admitted what another one refused was not charged: nothing happened.
            if (refused_by.is_none() || !decision.is_admitted())
                && let (Some(watcher), Some(limit)) =
                    (&self.watcher, self.limits.get(asked.ordinal))
            {
                let quota = asked.quota_of(limit);
                watcher.decided(at, limit, asked.key, quota, asked.cost, decision);
            }
        }
        let decisions = decisions.get(..self.limits.len()).unwrap_or_default();
        let standing = Standing::of(&self.limits, asked, decisions, at);
        match by {
            None if refused_by.is_none() => then(Ruling::Admitted(standing)),
            by => then(Ruling::Refused {
                by: by.unwrap_or(0),
                standing,
            }),
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    pub(crate) fn position(&self, policy: &str) -> Option<usize> {
        self.limits.iter().position(|limit| limit.name() == policy)
    }

    /// Charges `by` more, or gives back, what was asked.
    pub(crate) fn settle(&self, now: Tick, asked: &Asked, by: i64) {
        let Some(limit) = self.limits.get(asked.ordinal) else {
            return;
        };
        let quota = asked.quota_of(limit);
        match &self.store {
            Backend::Memory(store) => store.settle(now, limit, asked.key, quota, by),
            Backend::Other(store) => store.settle(now, limit, asked.key, quota, by),
        }
    }
}
