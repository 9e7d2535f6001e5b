mod usual;

use std::sync::Arc;

use buttress_core::{ConfigError, Digest, DigestKey, MissingKey, Sleep, Tick, View};

use self::usual::Usual;
pub(crate) use self::usual::{Decided, Plain};
use crate::{
    Access, Limit, Permit, Policy,
    books::{Backend, Books},
    held::Held,
    limiter::UNDECIDED,
    policy::{OnMissingKey, Read, Whose},
    ruling::{Later, Ruling},
    standing::{Asked, EVERYBODY, Standing, Terms},
    surroundings::Surroundings,
    turn::Turn,
};

/// How many policies a layer may have. Their decisions live on the stack.
pub(crate) const MAX_POLICIES: usize = 8;

/// How many most layers have.
pub(crate) const FEW: usize = 4;

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
    /// Where it is the case of [`decide`](Self::decide).
    usual: Option<Usual>,
    /// Policies that are tried out: beside the others, and never refusing.
    shadows: Box<[(Arc<Limit>, Whose<T>)]>,
    books: Arc<Books>,
}

impl<T: ?Sized + 'static> Limits<T> {
    pub(crate) fn build(
        policies: Vec<Policy<T>>,
        access: Option<Read<T, Access>>,
        permits: bool,
        store: impl FnOnce(&[Arc<Limit>]) -> Result<Backend, ConfigError>,
        surroundings: Surroundings,
        max_keys: usize,
    ) -> Result<Self, ConfigError> {
        let clock = surroundings.clock();
        let (timer, secret) = (surroundings.timer(), surroundings.secret());
        let watcher = surroundings.watcher(max_keys)?;
        if policies.len() > MAX_POLICIES {
            return Err(ConfigError::new("policies", policies.len(), "at most 8"));
        }
        unique_names(&policies)?;
        let (enforced, shadows): (Vec<_>, Vec<_>) =
            policies.into_iter().partition(|policy| !policy.is_shadow());
        let mut ordinals = 0_u8..;
        let mut compile = |policies: Vec<Policy<T>>| {
            let compiled = policies.into_iter().zip(&mut ordinals);
            compiled
                .map(|(policy, ordinal)| policy.compile(ordinal, &clock))
                .collect::<Result<Vec<_>, _>>()
        };
        let (limits, whose): (Vec<_>, Vec<_>) = compile(enforced)?.into_iter().unzip();
        let shadows = compile(shadows)?;
        let shadow_limits = shadows.iter().map(|(limit, _)| limit);
        let all: Vec<_> = limits.iter().chain(shadow_limits).cloned().collect();
        let store = store(&all)?;
        if let Backend::Other(store) = &store {
            store.supports(&all)?;
        }
        if let (Backend::Other(_), Some((shadow, _))) = (&store, shadows.first()) {
            let expected = "a store in memory: nobody waits for the answer to a shadow policy";
            return Err(ConfigError::new("shadow", shadow.name(), expected));
        }
        if let Some((shadow, _)) = shadows.iter().find(|(_, whose)| whose.lookup.is_some()) {
            let expected =
                "`quota_by`, not a lookup: nobody waits for the quota of a shadow policy";
            return Err(ConfigError::new("shadow", shadow.name(), expected));
        }
        let nothing_beside = matches!(store, Backend::Memory(_))
            && shadows.is_empty()
            && access.is_none()
            && watcher.is_none()
            && !permits;
        let usual = nothing_beside.then(|| Usual::of(&whose)).flatten();
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
            usual,
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
    pub(crate) fn turn(&self, standing: &Standing<'_>) -> Option<Turn> {
        Turn::of(&self.books, &*self.timer, standing)
    }

    /// What was charged for a request that has to wait for its turn.
    #[cold]
    pub(crate) fn held(&self, standing: &Standing<'_>) -> Held {
        let mut held = Held::of(&self.books, standing.asked(), standing.at());
        held.hold();
        held
    }

    /// The permit of a request that was admitted, where anybody may settle.
    #[inline]
    pub(crate) fn permit(&self, standing: &Standing<'_>, wanted: bool) -> Option<Permit> {
        (self.permits || wanted).then(|| Permit::of(&self.books, standing.asked(), standing.at()))
    }

    /// The permit of a request that no limit applies to: who settles need not ask whether any does.
    pub(crate) fn permit_of_nothing(&self) -> Option<Permit> {
        self.permits
            .then(|| Permit::of(&self.books, &[], Tick::ZERO))
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
                Access::Deny => {
                    if let Some(watcher) = &self.books.watcher {
                        watcher.denied();
                    }
                    return then(Ruling::Denied);
                }
            }
        }
        let ([limit], [whose]) = (&*self.books.limits, &*self.whose) else {
            return match self.whose.len() {
                // Most have a few, which need less room.
                0..=FEW => self.rule_by_all::<FEW, _>(from, then),
                _ => self.rule_by_all::<MAX_POLICIES, _>(from, then),
            };
        };
        let asked = match self.read(0, limit, whose, from) {
            Ok(Some(asked)) => asked,
            Ok(None) => return then(Ruling::Allowed),
            Err(missing) => return then(Ruling::NoKey { by: 0, missing }),
        };
        if self.lookups {
            self.look_up(from, &[asked], then)
        } else {
            self.books.rule_by_one(asked, then)
        }
    }

    fn rule_by_all<const N: usize, O>(&self, from: &T, then: impl FnOnce(Ruling<'_>) -> O) -> O {
        let limits = &self.books.limits;
        if limits.is_empty() {
            return then(Ruling::Admitted(Standing::of(&[], &[], &[], Tick::ZERO)));
        }
        let mut asked = [Asked::NOTHING; N];
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
        let count = N - places.len();
        let asked = asked.get_mut(..count).unwrap_or_default();
        if self.lookups {
            return self.look_up(from, asked, then);
        }
        let mut decisions = [UNDECIDED; N];
        let made = decisions.get_mut(..count).unwrap_or_default();
        let now = self.books.now();
        let acquired = self.books.acquire_up_to::<N>(now, asked, made);
        self.books.conclude(acquired, now, asked, made, then)
    }

    /// Has the quotas looked up, and charges then.
    #[cold]
    fn look_up<O>(&self, from: &T, asked: &[Asked], then: impl FnOnce(Ruling<'_>) -> O) -> O {
        let lookup = |asked: &Asked| {
            let lookup = self.whose.get(asked.ordinal)?.lookup.as_ref()?;
            Some(lookup(from))
        };
        let mut lookups = [const { None }; MAX_POLICIES];
        for (place, asked) in lookups.iter_mut().zip(asked) {
            *place = lookup(asked);
        }
        let (books, mut asked) = (Arc::clone(&self.books), asked.to_vec());
        // Nothing is charged before all are known.
        let held = Held::of(&self.books, &[], self.books.now());
        let answer = Later::Lookup(Box::pin(async move {
            for (asked, lookup) in asked.iter_mut().zip(&mut lookups) {
                if let Some(lookup) = lookup
                    && let Some(quota) = lookup.await
                {
                    books.resolve(asked, quota);
                }
            }
            let answer = books.ask(&mut asked).await;
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
            if let Ok(Some(mut asked)) = self.read(limit.ordinal(), limit, whose, from) {
                let decision = self.books.acquire_shadow(limit, &mut asked);
                if let (Some(watcher), Some(decision)) = (&self.books.watcher, decision) {
                    watcher.shadowed(limit, asked.cost, &decision);
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
        let cost = whose.cost.as_ref().map_or(1, |cost| cost(from));
        let mut asked = Asked {
            ordinal,
            key,
            terms: Terms::of(limit),
            cost,
        };
        if let Some(quota) = whose.quota.as_ref().and_then(|quota| quota(from)) {
            self.books.resolve_under(limit, &mut asked, quota);
        }
        Ok(Some(asked))
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

/// By its name a policy is told of, settled and changed, whether it is enforced or tried out.
fn unique_names<T: ?Sized>(policies: &[Policy<T>]) -> Result<(), ConfigError> {
    let names = || policies.iter().map(Policy::name);
    for (before, name) in names().enumerate() {
        if names().take(before).any(|other| other == name) {
            let expected = "a name of its own for each policy of a layer";
            return Err(ConfigError::new("policy.name", name, expected));
        }
    }
    Ok(())
}
