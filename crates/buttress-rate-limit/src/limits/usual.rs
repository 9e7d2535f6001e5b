//! The usual case: up to [`FEW`] policies with quotas of their own, kept in memory, and nothing beside them but perhaps an
//! observer of the decisions.

use std::{
    any::Any,
    net::{IpAddr, SocketAddr},
    slice,
    sync::Arc,
};

use buttress_core::Tick;
use buttress_http::ClientIp;

use super::{FEW, Limits};
use crate::{
    Decision, Limit, Standing,
    books::Backend,
    limiter::UNDECIDED,
    policy::Whose,
    standing::{Asked, EVERYBODY, Terms},
    store::{Acquire, Fingerprint},
};

/// Found when a layer is built, of the policies that make it up.
pub(super) struct Usual {
    reads: Reads,
    /// Whose key each policy has: the place of the first one that has an extractor like its own.
    like: [u8; FEW],
}

/// What is read of a request.
enum Reads {
    /// Nothing: no policy has a key.
    Nothing,
    /// The address of its peer, which is the key of all that have one.
    Peer(ClientIp),
    /// Whatever extractors and costs look at.
    All,
}

/// What was charged in the usual case.
pub(crate) struct Plain<'a> {
    limits: &'a [Arc<Limit>],
    key: Fingerprint,
    cost: u64,
    at: Tick,
    refused_by: Option<u8>,
}

/// The same, of more than one policy.
pub(crate) struct Several {
    asked: [(Fingerprint, u64); FEW],
    decisions: [Decision; FEW],
}

/// Where decisions are written: what was just written in parts is not copied before a processor has all of it in its
/// cache.
pub(crate) struct Decided {
    only: Decision,
    several: Option<Several>,
}

impl Decided {
    #[inline(always)]
    pub(crate) fn nothing() -> Self {
        Self {
            only: UNDECIDED,
            several: None,
        }
    }
}

impl Plain<'_> {
    /// Whether all policies admit the request, and none of them delays it.
    #[inline(always)]
    pub(crate) fn is_admitted_at_once(&self, decided: &Decided) -> bool {
        match &decided.several {
            None => decided.only.is_admitted_at_once(),
            Some(several) => {
                let decisions = several.decisions.iter().take(self.limits.len());
                decisions.fold(true, |all, one| all & one.is_admitted_at_once())
            }
        }
    }

    /// How the policies stand, and which one to name if one of them refuses.
    #[inline(always)]
    pub(crate) fn stand<O>(
        &self,
        decided: &Decided,
        then: impl FnOnce(&Standing<'_>, usize) -> O,
    ) -> O {
        let by = usize::from(self.refused_by.unwrap_or(0));
        if let Some(several) = &decided.several {
            let mut asked = [Asked::NOTHING; FEW];
            for (ordinal, (place, (key, cost))) in asked.iter_mut().zip(several.asked).enumerate() {
                *place = asked_of(ordinal, key, cost);
            }
            let count = self.limits.len();
            let asked = asked.get(..count).unwrap_or_default();
            let decisions = several.decisions.get(..count).unwrap_or_default();
            return then(&Standing::of(self.limits, asked, decisions, self.at), by);
        }
        let asked = asked_of(0, self.key, self.cost);
        let (asked, decisions) = (slice::from_ref(&asked), slice::from_ref(&decided.only));
        then(&Standing::of(self.limits, asked, decisions, self.at), by)
    }
}

#[inline(always)]
fn asked_of(ordinal: usize, key: Fingerprint, cost: u64) -> Asked {
    Asked {
        ordinal,
        // The half of the digest that a table in memory knows. To compute the other one is a twentieth of
        // the layer's time.
        key: key.into(),
        terms: Terms::BuiltWith,
        cost,
        // Only who has to wait for a turn may give it back, and looks for it then.
        place: None,
    }
}

impl Usual {
    /// The usual case of these policies, where they are one.
    pub(super) fn of<T: ?Sized + 'static>(policies: &[Whose<T>]) -> Option<Self> {
        let own = |whose: &Whose<T>| whose.quota.is_none() && whose.lookup.is_none();
        if policies.is_empty() || policies.len() > FEW || !policies.iter().all(own) {
            return None;
        }
        let mut like = [0; FEW];
        for (place, (nth, whose)) in like.iter_mut().zip((0_u8..).zip(policies)) {
            let before = policies.iter().zip(0..nth);
            let same = |(other, _): &(&Whose<T>, u8)| is_same(other, whose);
            *place = before.into_iter().find(same).map_or(nth, |(_, n)| n);
        }
        Some(Self {
            reads: Reads::of(policies),
            like,
        })
    }
}

impl Reads {
    fn of<T: ?Sized + 'static>(policies: &[Whose<T>]) -> Self {
        if policies.iter().any(|whose| whose.cost.is_some()) {
            return Self::All;
        }
        let mut keyed = policies.iter().filter_map(|whose| whose.key.as_deref());
        let Some(first) = keyed.next() else {
            return Self::Nothing;
        };
        let any: &dyn Any = first;
        match any.downcast_ref::<ClientIp>() {
            Some(client) if client.is_peer() && keyed.all(|key| key.is_same(any)) => {
                Self::Peer(client.clone())
            }
            _ => Self::All,
        }
    }
}

/// Whether two policies have the same key.
fn is_same<T: ?Sized + 'static>(one: &Whose<T>, other: &Whose<T>) -> bool {
    match (&one.key, &other.key) {
        (None, None) => true,
        (Some(one), Some(other)) => one.is_same(&**other as &dyn Any),
        _ => false,
    }
}

impl<T: ?Sized + 'static> Limits<T> {
    /// The key of a request of which nothing else is read than its `peer`; `None` where more has to be.
    #[inline(always)]
    pub(crate) fn key_of_peer(
        &self,
        peer: impl FnOnce() -> Option<SocketAddr>,
    ) -> Option<Fingerprint> {
        let usual = self.usual.as_ref()?;
        if !self.is_as_built() {
            return None;
        }
        let digest = match &usual.reads {
            Reads::Nothing => EVERYBODY,
            Reads::Peer(client) => match peer()?.ip() {
                IpAddr::V4(peer) => self.secret.digest(&peer),
                peer => self.secret.digest(&client.network_of(peer.to_canonical())),
            },
            Reads::All => return None,
        };
        Some(digest.into())
    }

    /// Decides in the usual case on a request with such a [key](Self::key_of_peer), without what only the others need.
    /// `None`, and nothing is charged, where it is another one after all: a quota was changed.
    #[inline(always)]
    pub(crate) fn decide(&self, key: Fingerprint, decided: &mut Decided) -> Option<Plain<'_>> {
        if self.is_only() {
            return self.decide_only(key, 1, &mut decided.only);
        }
        self.decide_several_alike(key, decided.several.insert(Several::nothing()))
    }

    /// The same, with keys and costs that are read of `from`. `None` also where there is no key.
    pub(crate) fn decide_on(&self, from: &T, decided: &mut Decided) -> Option<Plain<'_>> {
        let usual = self.usual.as_ref()?;
        if !self.is_as_built() {
            return None;
        }
        let read = |whose: &Whose<T>| {
            let key = match &whose.key {
                None => EVERYBODY,
                Some(extractor) => self.secret.digest_from(&**extractor, from).ok()?,
            };
            Some(Fingerprint::from(key))
        };
        let cost = |whose: &Whose<T>| whose.cost.as_ref().map_or(1, |cost| cost(from));
        if let [whose] = &*self.whose {
            return self.decide_only(read(whose)?, cost(whose), &mut decided.only);
        }
        let several = decided.several.insert(Several::nothing());
        for (nth, (whose, like)) in self.whose.iter().zip(usual.like).enumerate() {
            let like = usize::from(like);
            let key = match several.asked.get(like) {
                Some((key, _)) if like < nth => *key,
                _ => read(whose)?,
            };
            if let Some(place) = several.asked.get_mut(nth) {
                *place = (key, cost(whose));
            }
        }
        self.decide_several(several)
    }

    /// Whether no quota was changed. Asked before a key is read, which else would be read and hashed for nothing, and
    /// then again.
    #[inline(always)]
    fn is_as_built(&self) -> bool {
        let mut limits = self.books.limits.iter();
        limits.all(|limit| limit.quotas().unchanged().is_some())
    }

    #[inline(always)]
    fn is_only(&self) -> bool {
        self.whose.len() == 1
    }

    #[inline(always)]
    fn decide_only(
        &self,
        key: Fingerprint,
        cost: u64,
        decision: &mut Decision,
    ) -> Option<Plain<'_>> {
        let ([limit], Backend::Memory(store)) = (&*self.books.limits, &self.books.store) else {
            return None;
        };
        let terms = (limit.quotas().unchanged()?, Some(0));
        let at = self.books.now();
        *decision = store.acquire_usual(at, limit, key, terms, cost).ok()?;
        if let Some(watcher) = &self.books.watcher {
            watcher.heard(limit, cost, decision);
        }
        Some(Plain {
            limits: &self.books.limits,
            key,
            cost,
            at,
            refused_by: None,
        })
    }

    #[inline(never)]
    fn decide_several_alike(&self, key: Fingerprint, several: &mut Several) -> Option<Plain<'_>> {
        for (place, whose) in several.asked.iter_mut().zip(&self.whose) {
            let key = match whose.key {
                Some(_) => key,
                None => EVERYBODY.into(),
            };
            *place = (key, 1);
        }
        self.decide_several(several)
    }

    #[inline(always)]
    fn decide_several(&self, several: &mut Several) -> Option<Plain<'_>> {
        let Backend::Memory(store) = &self.books.store else {
            return None;
        };
        let limits = &*self.books.limits;
        let at = self.books.now();
        let Several { asked, decisions } = several;
        let refused_by = match store.acquire_few(at, limits, asked, decisions)? {
            Acquire::Refused { by } => Some(by),
            _ => None,
        };
        if let Some(watcher) = &self.books.watcher {
            for (limit, ((_, cost), decision)) in limits.iter().zip(asked.iter().zip(decisions)) {
                // A policy that would have admitted what another one refused was not charged: nothing happened.
                if refused_by.is_none() || !decision.is_admitted() {
                    watcher.heard(limit, *cost, decision);
                }
            }
        }
        Some(Plain {
            limits,
            key: EVERYBODY.into(),
            cost: 0,
            at,
            refused_by,
        })
    }
}

impl Several {
    #[inline(always)]
    fn nothing() -> Self {
        Self {
            asked: [(Fingerprint::NOBODY, 0); FEW],
            decisions: [UNDECIDED; FEW],
        }
    }
}
