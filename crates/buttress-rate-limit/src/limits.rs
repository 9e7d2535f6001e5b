mod usual;

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use buttress_core::{ConfigError, Digest, DigestKey, MissingKey, Sleep, Tick, View};

use self::usual::Usual;
pub(crate) use self::usual::{Decided, Plain};
use crate::{
    Access, Limit, Permit, Policy,
    books::{Backend, Books},
    held::Held,
    lookup::Lookup,
    policy::{OnMissingKey, Read, Whose},
    ruling::Ruling,
    standing::{Asked, EVERYBODY, Standing, Terms},
    store::Place,
    surroundings::Surroundings,
    turn::Turn,
    watcher::Watcher,
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
            && watcher.as_ref().is_none_or(Watcher::hears_decisions_alone)
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

    /// Those of policies that are only tried out.
    pub(crate) fn shadows(&self) -> impl Iterator<Item = &Arc<Limit>> {
        self.shadows.iter().map(|(limit, _)| limit)
    }

    /// What a request that has to wait for its turn waits for; `None` where it may go.
    pub(crate) fn turn(&self, standing: &Standing<'_>) -> Option<Turn> {
        Turn::of(&self.books, &*self.timer, standing)
    }

    /// What was charged for a request that has to wait for its turn.
    #[cold]
    pub(crate) fn held(&self, standing: &Standing<'_>) -> Held {
        let mut asked: Box<[Asked]> = standing.asked().into();
        self.books.note_places(&mut asked);
        Held::of(&self.books, asked, standing.at()).hold()
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
            Ok(None) => return then(Ruling::Exempt),
            Err(missing) => return then(Ruling::NoKey { by: 0, missing }),
        };
        match self.look_up(from, &[asked], 0) {
            Some(lookup) => then(Ruling::LookUp(lookup)),
            None => self.books.rule_by_one(asked, then),
        }
    }

    fn rule_by_all<const N: usize, O>(&self, from: &T, then: impl FnOnce(Ruling<'_>) -> O) -> O {
        let mut asked = [Asked::NOTHING; N];
        let mut places = asked.iter_mut();
        for (ordinal, (limit, whose)) in self.books.limits.iter().zip(&self.whose).enumerate() {
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
        if asked.is_empty() {
            return then(Ruling::Exempt);
        }
        match self.look_up(from, asked, 0) {
            Some(lookup) => then(Ruling::LookUp(lookup)),
            None => self
                .books
                .rule_by_up_to::<N, _>(self.books.now(), asked, then),
        }
    }

    /// Charges what is asked, now that its quotas are known, and hands the ruling to `then`.
    pub(crate) fn rule_on<O>(
        &self,
        now: Tick,
        asked: &mut [Asked],
        then: impl FnOnce(Ruling<'_>) -> O,
    ) -> O {
        self.books.rule_by_all(now, asked, then)
    }

    pub(crate) fn now(&self) -> Tick {
        self.books.now()
    }

    /// What was charged at `now`, as long as it is not spent.
    pub(crate) fn hold<A: AsRef<[Asked]>>(&self, asked: A, now: Tick) -> Held<A> {
        Held::of(&self.books, asked, now).hold()
    }

    /// Starts looking up the first quota that has to be, of what is asked from the place `first` on.
    #[inline]
    fn look_up(&self, from: &T, asked: &[Asked], first: usize) -> Option<Lookup> {
        if !self.lookups {
            return None;
        }
        let mut places = asked.iter().enumerate().skip(first);
        places.find_map(|(place, policy)| {
            let lookup = self.whose.get(policy.ordinal)?.lookup.as_ref()?;
            Some(lookup.start(from, asked, place))
        })
    }

    /// Goes on until all quotas are known, one after the other. Nothing is charged before.
    pub(crate) fn poll_lookup(
        &self,
        from: &T,
        lookup: &mut Lookup,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let (found, place) = (ready!(lookup.poll(cx)), lookup.place());
            let asked = lookup.asked();
            if let (Some(quota), Some(asked)) = (found, asked.get_mut(place)) {
                self.books.resolve(asked, quota);
            }
            match self.look_up(from, asked, place + 1) {
                Some(next) => *lookup = next,
                None => return Poll::Ready(()),
            }
        }
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
            place: Some(Place::Own),
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
