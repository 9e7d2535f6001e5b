use std::{slice, sync::Arc};

use buttress_core::{
    BoxFuture, Clock, ConfigError, Digest, DigestKey, MissingKey, Sleep, Tick, View,
    clock::{AnyClock, Sleeping},
};

use crate::{
    Access, Decision, Limit, Permit, Policy, Store,
    limiter::UNDECIDED,
    policy::{OnMissingKey, Read, Whose},
    standing::{Asked, Standing},
    store::{Acquire, Answer, Charge, MemoryStore, signed},
    watcher::Watcher,
};

/// How many policies a layer may have. Their decisions live on the stack.
pub(crate) const MAX_POLICIES: usize = 8;

/// The policies of a layer and what they share: the one place where a request is read, keyed and ruled
/// on. Knows nothing of services and responses.
pub(crate) struct Limits<T: ?Sized> {
    /// What is read of a request for each policy; whatever knows nothing of `T` is in the books.
    whose: Box<[Whose<T>]>,
    access: Option<Read<T, Access>>,
    secret: DigestKey,
    /// Whether requests carry their permits.
    permits: bool,
    timer: Arc<dyn Sleep>,
    /// Whether any quota has to be looked up.
    lookups: bool,
    /// Policies that are tried out: beside the others, and never refusing.
    shadows: Box<[(Arc<Limit>, Whose<T>)]>,
    books: Arc<Books>,
}

/// What is charged, and where that is kept.
pub(crate) struct Books {
    limits: Box<[Arc<Limit>]>,
    store: Backend,
    clock: AnyClock,
    watcher: Option<Watcher>,
}

/// What a layer takes from outside, so that a test can own it.
pub(crate) struct Surroundings {
    pub(crate) clock: AnyClock,
    pub(crate) timer: Arc<dyn Sleep>,
    pub(crate) secret: DigestKey,
}

/// The usual store is named, so that asking it costs no dynamic dispatch.
pub(crate) enum Backend {
    Memory(MemoryStore),
    Other(Arc<dyn Store>),
}

/// What comes of a request.
pub(crate) enum Ruling<'a> {
    /// It may pass, and nothing is told of any limit: none applies.
    Allowed,
    /// It may not, whatever the limits say.
    Denied,
    /// It may pass; so stand the policies.
    Admitted(Standing<'a>),
    /// It may not, by the policy at this index.
    Refused { by: usize, standing: Standing<'a> },
    /// It may not: the policy at this index needs a key.
    NoKey { by: usize, missing: MissingKey },
    /// Somebody has to ask elsewhere.
    Later { answer: Later, held: Held },
}

/// Who has to ask.
pub(crate) enum Later {
    /// The store.
    Store(BoxFuture<'static, Answer>),
    /// Somebody who knows the quotas; then the store.
    Lookup(BoxFuture<'static, (Vec<Asked>, Answer)>),
}

impl<T: ?Sized + 'static> Limits<T> {
    pub(crate) fn build(
        policies: Vec<Policy<T>>,
        access: Option<Read<T, Access>>,
        permits: bool,
        store: impl FnOnce(&[Arc<Limit>]) -> Result<Backend, ConfigError>,
        surroundings: Surroundings,
        watcher: Option<Watcher>,
    ) -> Result<Self, ConfigError> {
        let Surroundings {
            clock,
            timer,
            secret,
        } = surroundings;
        if policies.len() > MAX_POLICIES {
            return Err(ConfigError::new("policies", policies.len(), "at most 8"));
        }
        let (enforced, shadows): (Vec<_>, Vec<_>) =
            policies.into_iter().partition(|policy| !policy.is_shadow());
        let mut ordinals = 0_u8..;
        let mut compile = |policies: Vec<Policy<T>>| {
            let compiled = policies.into_iter().zip(&mut ordinals);
            compiled
                .map(|(policy, ordinal)| policy.compile(ordinal))
                .collect::<Result<Vec<_>, _>>()
        };
        let (limits, whose): (Vec<_>, Vec<_>) = compile(enforced)?.into_iter().unzip();
        let shadows = compile(shadows)?;
        let shadow_limits = shadows.iter().map(|(limit, _)| limit);
        let all: Vec<_> = limits.iter().chain(shadow_limits).cloned().collect();
        let store = store(&all)?;
        if let (Backend::Other(_), Some((shadow, _))) = (&store, shadows.first()) {
            let expected = "a store in memory: nobody waits for the answer to a shadow policy";
            return Err(ConfigError::new("shadow", shadow.name(), expected));
        }
        let books = Books {
            limits: limits.into(),
            store,
            clock,
            watcher,
        };
        Ok(Self {
            access,
            secret,
            permits,
            timer,
            lookups: whose.iter().any(|whose| whose.lookup.is_some()),
            whose: whose.into(),
            shadows: shadows.into(),
            books: Arc::new(books),
        })
    }

    /// The limits, in the order of the policies.
    pub(crate) fn all(&self) -> &[Arc<Limit>] {
        &self.books.limits
    }

    /// What a request that has to wait for its turn waits for; `None` where it may go.
    pub(crate) fn timer(&self, standing: &Standing<'_>) -> Option<Sleeping> {
        let delay = standing.delay();
        (!delay.is_zero()).then(|| self.timer.sleep(delay))
    }

    /// Holds what was charged for a request that has to wait for its turn, and what it waits for.
    #[cold]
    pub(crate) fn wait(&self, standing: &Standing<'_>) -> (Sleeping, Held) {
        let mut held = Held::of(&self.books, standing.asked(), standing.at());
        held.made = true;
        (self.timer.sleep(standing.delay()), held)
    }

    /// The permit of a request that was admitted, where anybody may settle.
    #[inline]
    pub(crate) fn permit(&self, standing: &Standing<'_>, wanted: bool) -> Option<Permit> {
        (self.permits || wanted).then(|| Permit::of(&self.books, standing.asked(), standing.at()))
    }

    /// Lets the inner services have the permit, where the user asked for it.
    pub(crate) fn attach<Req>(&self, request: &mut Req, permit: Permit)
    where
        T: View<Req>,
    {
        if self.permits {
            T::attach(request, permit);
        }
    }

    /// Reads the keys of `from`, charges them, and hands the ruling to `then`, whose decisions are only
    /// lent: moved about they would cost more than they did to make.
    #[inline]
    pub(crate) fn rule<O>(&self, from: &T, then: impl FnOnce(Ruling<'_>) -> O) -> O {
        if let Some(access) = &self.access {
            match access(from) {
                Access::Limit => {}
                Access::Allow => return then(Ruling::Allowed),
                Access::Deny => return then(Ruling::Denied),
            }
        }
        let ([limit], [whose]) = (&*self.books.limits, &*self.whose) else {
            return self.rule_by_all(from, then);
        };
        let asked = match self.read(0, limit, whose, from) {
            Ok(Some(asked)) => asked,
            Ok(None) => return then(Ruling::Allowed),
            Err(missing) => return then(Ruling::NoKey { by: 0, missing }),
        };
        match (&self.books.store, &self.books.watcher) {
            // The usual case, without what only the others need.
            (Backend::Memory(store), None) if !self.lookups => {
                let now = self.books.now();
                let (quota, cost) = (asked.quota_of(limit), asked.cost);
                let decisions = [store
                    .acquire_one(now, limit, asked.key.into(), quota, cost)
                    .0];
                let asked = slice::from_ref(&asked);
                let standing = Standing::of(&self.books.limits, asked, &decisions, now);
                then(if decisions[0].is_admitted() {
                    Ruling::Admitted(standing)
                } else {
                    Ruling::Refused { by: 0, standing }
                })
            }
            _ if self.lookups => self.look_up(from, &[asked], then),
            _ => self.books.rule_by_one(limit, asked, then),
        }
    }

    fn rule_by_all<O>(&self, from: &T, then: impl FnOnce(Ruling<'_>) -> O) -> O {
        let limits = &self.books.limits;
        let Some(first) = limits.first() else {
            return then(Ruling::Admitted(Standing::of(&[], &[], &[], Tick::ZERO)));
        };
        let mut asked = [Asked {
            ordinal: 0,
            key: EVERYBODY,
            quota: None,
            cost: 0,
        }; MAX_POLICIES];
        let mut places = asked.iter_mut();
        for (ordinal, (limit, whose)) in limits.iter().zip(&self.whose).enumerate() {
            match self.read(ordinal, limit, whose, from) {
                Ok(Some(asked)) => {
                    if let Some(place) = places.next() {
                        *place = asked;
                    }
                }
                Ok(None) => {}
                Err(missing) => {
                    return then(Ruling::NoKey {
                        by: ordinal,
                        missing,
                    });
                }
            }
        }
        let count = MAX_POLICIES - places.len();
        let asked = asked.get(..count).unwrap_or_default();
        if self.lookups {
            return self.look_up(from, asked, then);
        }

        let unused = Charge {
            limit: first,
            key: EVERYBODY,
            quota: first.quota(),
            cost: 0,
        };
        let mut charges = [unused; MAX_POLICIES];
        for (place, asked) in charges.iter_mut().zip(asked) {
            if let Some(limit) = limits.get(asked.ordinal) {
                *place = asked.of(limit);
            }
        }
        let mut decisions = [UNDECIDED; MAX_POLICIES];
        let (Some(charges), Some(made)) = (charges.get(..count), decisions.get_mut(..count)) else {
            return then(Ruling::Allowed);
        };
        let now = self.books.now();
        let acquired = self.books.acquire(now, charges, made);
        self.books.conclude(acquired, now, asked, made, then)
    }

    /// Has the quotas looked up, and charges then.
    #[cold]
    fn look_up<O>(&self, from: &T, asked: &[Asked], then: impl FnOnce(Ruling<'_>) -> O) -> O {
        let lookup = |asked: &Asked| {
            let lookup = self.whose.get(asked.ordinal)?.lookup.as_ref()?;
            Some(lookup(from))
        };
        let mut lookups: Vec<_> = asked.iter().map(lookup).collect();
        let (books, mut asked) = (Arc::clone(&self.books), asked.to_vec());
        let held = Held::of(&self.books, &asked, self.books.now());
        let answer = Later::Lookup(Box::pin(async move {
            for (asked, lookup) in asked.iter_mut().zip(&mut lookups) {
                if let Some(lookup) = lookup {
                    asked.quota = lookup.await;
                }
            }
            let answer = books.ask(&asked).await;
            (asked, answer)
        }));
        then(Ruling::Later { answer, held })
    }

    /// Tries the shadow policies on a request that the others admitted. Each is on its own.
    #[inline]
    pub(crate) fn shadow(&self, from: &T) {
        if !self.shadows.is_empty() {
            self.shadow_all(from);
        }
    }

    #[cold]
    fn shadow_all(&self, from: &T) {
        for (limit, whose) in &self.shadows {
            // Without a key it does not apply; the observer has heard of it.
            if let Ok(Some(asked)) = self.read(limit.ordinal(), limit, whose, from) {
                let mut decision = [UNDECIDED];
                let now = self.books.now();
                let _ = self.books.acquire(now, &[asked.of(limit)], &mut decision);
                if let (Some(watcher), [decision]) = (&self.books.watcher, &decision) {
                    watcher.shadowed(limit, asked.cost, decision);
                }
            }
        }
    }

    /// What is asked of a policy for `from`; `None` where it does not apply.
    #[inline(always)]
    fn read(
        &self,
        ordinal: usize,
        limit: &Limit,
        whose: &Whose<T>,
        from: &T,
    ) -> Result<Option<Asked>, MissingKey> {
        let key = match &whose.key {
            None => EVERYBODY,
            Some(extractor) => match self.secret.digest_from(&**extractor, from) {
                Ok(key) => key,
                Err(missing) => match self.without_key(limit, whose.missing_key, missing)? {
                    Some(key) => key,
                    None => return Ok(None),
                },
            },
        };
        let quota = whose.quota.as_ref().and_then(|quota| quota(from));
        let cost = whose.cost.as_ref().map_or(1, |cost| cost(from));
        Ok(Some(Asked {
            ordinal,
            key,
            quota,
            cost,
        }))
    }

    #[cold]
    fn without_key(
        &self,
        limit: &Limit,
        then: OnMissingKey,
        missing: MissingKey,
    ) -> Result<Option<Digest>, MissingKey> {
        if let Some(watcher) = &self.books.watcher {
            watcher.missing_key(limit, &missing);
        }
        match then {
            OnMissingKey::Refuse => Err(missing),
            OnMissingKey::Share => Ok(Some(EVERYBODY)),
            OnMissingKey::Exempt => Ok(None),
        }
    }
}

impl Books {
    fn rule_by_one<O>(
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
    fn acquire(&self, now: Tick, charges: &[Charge<'_>], decisions: &mut [Decision]) -> Acquire {
        match &self.store {
            Backend::Memory(store) => store.acquire(now, charges, decisions),
            Backend::Other(store) => store.acquire(now, charges, decisions),
        }
    }

    /// Charges what is asked, and waits where the store does.
    async fn ask(&self, asked: &[Asked]) -> Answer {
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
    fn conclude<O>(
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
    fn report<O>(
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

/// The key of a policy that has none. Digests of real keys are SipHash outputs: this one is as likely as
/// any other, which is not at all.
const EVERYBODY: Digest = Digest::from_u128(u128::MAX);

/// Charges of a request whose inner service was not called yet. Dropped, they are given back, unless
/// they were [spent](Self::spend) or never made.
pub(crate) struct Held {
    books: Arc<Books>,
    asked: Vec<Asked>,
    /// When the store was asked.
    at: Tick,
    made: bool,
}

impl Held {
    #[cold]
    fn of(books: &Arc<Books>, asked: &[Asked], at: Tick) -> Self {
        Self {
            books: Arc::clone(books),
            asked: asked.to_vec(),
            at,
            made: false,
        }
    }

    /// The quotas were looked up.
    pub(crate) fn found(&mut self, asked: Vec<Asked>) {
        self.at = self.books.now();
        self.asked = asked;
    }

    /// The store has answered: rules, and from now on holds what was charged.
    pub(crate) fn settle<O>(&mut self, answer: &Answer, then: impl FnOnce(Ruling<'_>) -> O) -> O {
        self.made = answer.refused_by.is_none();
        self.books.report(
            self.at,
            &self.asked,
            &answer.decisions,
            answer.refused_by,
            then,
        )
    }

    /// The inner service is called: the charges are what it costs.
    pub(crate) fn spend(&mut self) {
        self.made = false;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.made {
            for asked in &self.asked {
                self.books.settle(self.at, asked, -signed(asked.cost));
            }
        }
    }
}
