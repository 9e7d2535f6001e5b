use std::sync::Arc;

use buttress_core::{
    BoxFuture, Clock, ConfigError, Digest, DigestKey, MissingKey, Observer, clock::AnyClock,
};

use crate::{
    Decision, Event, Limit, Policy, Store,
    limiter::UNDECIDED,
    policy::{OnMissingKey, Whose},
    store::{Acquire, Answer, Charge, MemoryStore, signed},
};

/// How many policies a layer may have. Their decisions live on the stack.
pub(crate) const MAX_POLICIES: usize = 8;

/// The policies of a layer and what they share: the one place where a request is read, keyed and ruled
/// on. Knows nothing of services and responses.
pub(crate) struct Limits<T> {
    /// One for each policy, beside whose it is: split, since only the second half knows of `T`.
    limits: Box<[Arc<Limit>]>,
    whose: Box<[Whose<T>]>,
    store: Backend,
    clock: AnyClock,
    secret: DigestKey,
    observer: Option<Arc<dyn for<'a> Observer<Event<'a>>>>,
}

/// The usual store is named, so that asking it costs no dynamic dispatch.
pub(crate) enum Backend {
    Memory(MemoryStore),
    Other(Arc<dyn Store>),
}

impl Backend {
    #[inline]
    fn get(&self) -> &dyn Store {
        match self {
            Self::Memory(store) => store,
            Self::Other(store) => &**store,
        }
    }
}

/// What comes of a request.
pub(crate) enum Ruling<'a, T> {
    /// It may pass; how each policy then stands, in their order.
    Admitted(&'a [Decision]),
    /// It may not, by the policy at this index.
    Refused {
        by: usize,
        decisions: &'a [Decision],
    },
    /// It may not: the policy at this index needs a key.
    NoKey { by: usize, missing: MissingKey },
    /// The store has to ask elsewhere.
    Later {
        answer: BoxFuture<'static, Answer>,
        held: Held<T>,
    },
}

impl<T: 'static> Limits<T> {
    pub(crate) fn build(
        policies: Vec<Policy<T>>,
        store: impl FnOnce(usize) -> Result<Backend, ConfigError>,
        clock: AnyClock,
        secret: DigestKey,
        observer: Option<Arc<dyn for<'a> Observer<Event<'a>>>>,
    ) -> Result<Self, ConfigError> {
        if policies.len() > MAX_POLICIES {
            return Err(ConfigError::new("policies", policies.len(), "at most 8"));
        }
        let store = store(policies.len())?;
        let compiled = (0_u8..)
            .zip(policies)
            .map(|(ordinal, policy)| policy.compile(ordinal));
        let (limits, whose): (Vec<_>, Vec<_>) =
            compiled.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        Ok(Self {
            limits: limits.into(),
            whose: whose.into(),
            store,
            clock,
            secret,
            observer,
        })
    }

    /// The limits, in the order of the policies.
    pub(crate) fn all(&self) -> &[Arc<Limit>] {
        &self.limits
    }

    /// Reads the keys of `from`, charges them, and hands the ruling to `then`, whose decisions are only
    /// lent: moved about they would cost more than they did to make.
    #[inline]
    pub(crate) fn rule<O>(self: &Arc<Self>, from: &T, then: impl FnOnce(Ruling<'_, T>) -> O) -> O {
        let ([limit], [whose]) = (&*self.limits, &*self.whose) else {
            return self.rule_by_all(from, then);
        };
        let key = match self.key(limit, whose, from) {
            Ok(Some(key)) => key,
            Ok(None) => return then(Ruling::Admitted(&[exempt(limit)])),
            Err(missing) => return then(Ruling::NoKey { by: 0, missing }),
        };
        match (&self.store, &self.observer) {
            // The usual case, without what only the others need.
            (Backend::Memory(store), None) => {
                let now = self.clock.now();
                let decisions = [store
                    .acquire_one(now, limit, key.into(), limit.quota(), 1)
                    .0];
                then(if decisions[0].is_admitted() {
                    Ruling::Admitted(&decisions)
                } else {
                    Ruling::Refused {
                        by: 0,
                        decisions: &decisions,
                    }
                })
            }
            _ => self.rule_by_one(limit, key, then),
        }
    }

    fn rule_by_one<O>(
        self: &Arc<Self>,
        limit: &Arc<Limit>,
        key: Digest,
        then: impl FnOnce(Ruling<'_, T>) -> O,
    ) -> O {
        let charge = [Charge {
            limit,
            key,
            quota: limit.quota(),
            cost: 1,
        }];
        let mut decisions = [UNDECIDED];
        let acquired = self.acquire(&charge, &mut decisions);
        self.conclude(acquired, &charge, &decisions, then)
    }

    fn rule_by_all<O>(self: &Arc<Self>, from: &T, then: impl FnOnce(Ruling<'_, T>) -> O) -> O {
        let Some(first) = self.limits.first() else {
            return then(Ruling::Admitted(&[]));
        };
        let unused = Charge {
            limit: first,
            key: EVERYBODY,
            quota: first.quota(),
            cost: 0,
        };
        let mut charges = [unused; MAX_POLICIES];
        let mut places = charges.iter_mut();
        for (by, (limit, whose)) in self.limits.iter().zip(&self.whose).enumerate() {
            match self.key(limit, whose, from) {
                Ok(Some(key)) => {
                    if let Some(place) = places.next() {
                        *place = Charge {
                            limit,
                            key,
                            quota: limit.quota(),
                            cost: 1,
                        };
                    }
                }
                Ok(None) => {}
                Err(missing) => return then(Ruling::NoKey { by, missing }),
            }
        }
        let count = MAX_POLICIES - places.len();
        let mut decisions = [UNDECIDED; MAX_POLICIES];
        let (Some(charges), Some(made)) = (charges.get(..count), decisions.get_mut(..count)) else {
            return then(Ruling::Admitted(&[]));
        };
        let acquired = self.acquire(charges, made);
        self.conclude(acquired, charges, made, then)
    }

    #[inline]
    fn acquire(&self, charges: &[Charge<'_>], decisions: &mut [Decision]) -> Acquire {
        let now = self.clock.now();
        match &self.store {
            Backend::Memory(store) => store.acquire(now, charges, decisions),
            Backend::Other(store) => store.acquire(now, charges, decisions),
        }
    }

    #[inline]
    fn conclude<O>(
        self: &Arc<Self>,
        acquired: Acquire,
        charges: &[Charge<'_>],
        decisions: &[Decision],
        then: impl FnOnce(Ruling<'_, T>) -> O,
    ) -> O {
        let refused_by = match acquired {
            Acquire::Admitted => None,
            Acquire::Refused { by } => Some(by),
            Acquire::Later(answer) => {
                return then(Ruling::Later {
                    answer,
                    held: Held::of(self, charges),
                });
            }
        };
        if self.observer.is_none() && charges.len() == self.limits.len() {
            return then(match refused_by {
                None => Ruling::Admitted(decisions),
                Some(by) => Ruling::Refused {
                    by: usize::from(by),
                    decisions,
                },
            });
        }
        self.report(
            charges
                .iter()
                .map(|charge| (charge.limit.ordinal(), charge.cost)),
            decisions,
            refused_by,
            then,
        )
    }

    /// Puts the decisions of those policies that applied into the order of all, tells the observer, and
    /// rules.
    pub(crate) fn report<O>(
        &self,
        charged: impl Iterator<Item = (usize, u64)>,
        made: &[Decision],
        refused_by: Option<u8>,
        then: impl FnOnce(Ruling<'_, T>) -> O,
    ) -> O {
        let mut decisions = [UNDECIDED; MAX_POLICIES];
        for (place, limit) in decisions.iter_mut().zip(&self.limits) {
            *place = exempt(limit);
        }
        let mut by = None;
        for (index, ((ordinal, cost), decision)) in charged.zip(made).enumerate() {
            if let Some(place) = decisions.get_mut(ordinal) {
                *place = *decision;
            }
            if refused_by.is_some_and(|by| usize::from(by) == index) {
                by = Some(ordinal);
            }
            self.observe_decision(ordinal, cost, decision, refused_by.is_some());
        }
        let decisions = decisions.get(..self.limits.len()).unwrap_or_default();
        match by {
            None if refused_by.is_none() => then(Ruling::Admitted(decisions)),
            by => then(Ruling::Refused {
                by: by.unwrap_or(0),
                decisions,
            }),
        }
    }

    fn observe_decision(&self, ordinal: usize, cost: u64, decision: &Decision, refused: bool) {
        // A policy that would have admitted what another one refused was not charged: nothing happened.
        if refused && decision.is_admitted() {
            return;
        }
        if let (Some(observer), Some(limit)) = (&self.observer, self.limits.get(ordinal)) {
            observer.observe(&Event::decided(limit, cost, decision));
        }
    }

    /// The key of `from`; `None` where the limit does not apply to it.
    #[inline(always)]
    fn key(&self, limit: &Limit, whose: &Whose<T>, from: &T) -> Result<Option<Digest>, MissingKey> {
        let Some(extractor) = &whose.key else {
            return Ok(Some(EVERYBODY));
        };
        match self.secret.digest_from(&**extractor, from) {
            Ok(key) => Ok(Some(key)),
            Err(missing) => self.without_key(limit, whose.missing_key, missing),
        }
    }

    #[cold]
    fn without_key(
        &self,
        limit: &Limit,
        then: OnMissingKey,
        missing: MissingKey,
    ) -> Result<Option<Digest>, MissingKey> {
        if let Some(observer) = &self.observer {
            observer.observe(&Event::MissingKey {
                limit: limit.name(),
                why: missing.why(),
            });
        }
        match then {
            OnMissingKey::Refuse => Err(missing),
            OnMissingKey::Share => Ok(Some(EVERYBODY)),
            OnMissingKey::Exempt => Ok(None),
        }
    }
}

/// The key of a policy that has none. Digests of real keys are SipHash outputs: this one is as likely as
/// any other, which is not at all.
const EVERYBODY: Digest = Digest::from_u128(u128::MAX);

/// How a policy stands that does not apply: untouched.
#[cold]
fn exempt(limit: &Limit) -> Decision {
    limit
        .algorithm()
        .check(limit.quota(), &[0], buttress_core::Tick::ZERO, 0)
}

/// Charges of a request whose inner service was not called yet. Dropped, they are given back, unless
/// they were [spent](Self::spend) or never made.
pub(crate) struct Held<T> {
    limits: Arc<Limits<T>>,
    charges: Vec<(usize, Digest, u64)>,
    made: bool,
}

impl<T: 'static> Held<T> {
    #[cold]
    fn of(limits: &Arc<Limits<T>>, charges: &[Charge<'_>]) -> Self {
        let charges = charges
            .iter()
            .map(|charge| (charge.limit.ordinal(), charge.key, charge.cost))
            .collect();
        Self {
            limits: Arc::clone(limits),
            charges,
            made: false,
        }
    }

    pub(crate) fn limits(&self) -> Arc<Limits<T>> {
        Arc::clone(&self.limits)
    }

    /// The store has answered: rules, and from now on holds what was charged.
    pub(crate) fn settle<O>(
        &mut self,
        answer: &Answer,
        then: impl FnOnce(Ruling<'_, T>) -> O,
    ) -> O {
        self.made = answer.refused_by.is_none();
        let charged = self
            .charges
            .iter()
            .map(|&(ordinal, _, cost)| (ordinal, cost));
        self.limits
            .report(charged, &answer.decisions, answer.refused_by, then)
    }

    /// The inner service is called: the charges are what it costs.
    pub(crate) fn spend(&mut self) {
        self.made = false;
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        if !self.made {
            return;
        }
        let now = self.limits.clock.now();
        for &(ordinal, key, cost) in &self.charges {
            if let Some(limit) = self.limits.limits.get(ordinal) {
                self.limits
                    .store
                    .get()
                    .settle(now, limit, key, limit.quota(), -signed(cost));
            }
        }
    }
}
