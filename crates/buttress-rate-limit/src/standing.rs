use std::{sync::Arc, time::Duration};

use buttress_core::{Digest, Tick};

use crate::{
    Decision, Limit, Quota,
    store::{Charge, Place},
};

/// How the policies of a layer stand after a request was decided on, in their order.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    limits: &'a [Arc<Limit>],
    asked: &'a [Asked],
    decisions: &'a [Decision],
    /// When it was decided.
    at: Tick,
}

/// What was asked of one policy for one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// The policy's place.
    pub(crate) ordinal: usize,
    pub(crate) key: Digest,
    pub(crate) terms: Terms,
    pub(crate) cost: u64,
    /// Where it is charged, if that is known.
    pub(crate) place: Option<Place>,
}

/// Under which quota it was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Terms {
    /// That of the policy, as it was built.
    BuiltWith,
    /// That of the policy, of a later revision.
    Changed(Quota, u64),
    /// One that was resolved for this request.
    Resolved(Quota),
}

impl Terms {
    /// The policy's own.
    #[inline]
    pub(crate) fn of(limit: &Limit) -> Self {
        match limit.quotas().unchanged() {
            Some(_) => Self::BuiltWith,
            None => {
                let (quota, revision) = limit.in_force();
                Self::Changed(quota, revision)
            }
        }
    }

    /// The quota, and its revision if it is one of the policy's own.
    #[inline]
    pub(crate) fn quota_of<'a>(&'a self, limit: &'a Limit) -> (&'a Quota, Option<u64>) {
        match self {
            Self::BuiltWith => (limit.quotas().first(), Some(0)),
            Self::Changed(quota, revision) => (quota, Some(*revision)),
            Self::Resolved(quota) => (quota, None),
        }
    }
}

/// The key of a policy that has none. Digests of real keys are SipHash outputs: this one is as likely as
/// any other, which is not at all.
pub(crate) const EVERYBODY: Digest = Digest::from_u128(u128::MAX);

impl Asked {
    /// Of nobody, for nothing: a place for one.
    pub(crate) const NOTHING: Self = Self {
        ordinal: 0,
        key: EVERYBODY,
        terms: Terms::BuiltWith,
        cost: 0,
        place: None,
    };

    /// The policy's quota was changed since it was read.
    #[cold]
    pub(crate) fn read_again(&mut self, limit: &Limit) {
        if !matches!(self.terms, Terms::Resolved(_)) {
            self.terms = Terms::of(limit);
        }
    }

    #[inline]
    pub(crate) fn of<'a>(&'a self, limit: &'a Arc<Limit>) -> Charge<'a> {
        let (quota, revision) = self.terms.quota_of(limit);
        Charge {
            limit,
            key: self.key,
            quota,
            revision,
            cost: self.cost,
        }
    }
}

impl<'a> Standing<'a> {
    #[inline]
    pub(crate) fn of(
        limits: &'a [Arc<Limit>],
        asked: &'a [Asked],
        decisions: &'a [Decision],
        at: Tick,
    ) -> Self {
        Self {
            limits,
            asked,
            decisions,
            at,
        }
    }

    /// One decision for each policy; of a policy that does not apply to the request, that it is untouched.
    pub const fn decisions(&self) -> &'a [Decision] {
        self.decisions
    }

    /// The policies by name, with the quota that this request has under each, and how it stands.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Quota, &'a Decision)> + use<'a> {
        let Self {
            limits,
            asked,
            decisions,
            ..
        } = *self;
        limits
            .iter()
            .zip(decisions)
            .enumerate()
            .map(move |(ordinal, (limit, decision))| {
                let asked = asked.iter().find(|asked| asked.ordinal == ordinal);
                let quota =
                    asked.map_or_else(|| limit.quota(), |asked| *asked.terms.quota_of(limit).0);
                (limit.name(), quota, decision)
            })
    }

    /// For how long an admitted request has to wait for its turn: the longest of the policies' delays.
    #[must_use]
    #[inline]
    pub fn delay(&self) -> Duration {
        let delays = self.decisions.iter().map(Decision::delay);
        delays.max().unwrap_or(Duration::ZERO)
    }

    /// Whether all policies admit the request.
    pub(crate) fn is_admitted(&self) -> bool {
        self.decisions.iter().all(Decision::is_admitted)
    }

    /// Whether all policies apply, with the quotas that they were built with.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        self.asked.len() == self.limits.len()
            && self
                .asked
                .iter()
                .all(|asked| matches!(asked.terms, Terms::BuiltWith))
    }

    /// The policies that apply: their places, with the quota that this request has under each.
    pub(crate) fn applying(&self) -> impl Iterator<Item = (usize, Quota, Decision)> + use<'a> {
        let Self {
            limits,
            asked,
            decisions,
            ..
        } = *self;
        asked.iter().filter_map(move |asked| {
            let (limit, decision) = (limits.get(asked.ordinal)?, decisions.get(asked.ordinal)?);
            let (quota, _) = asked.terms.quota_of(limit);
            Some((asked.ordinal, *quota, *decision))
        })
    }

    pub(crate) const fn limits(&self) -> &'a [Arc<Limit>] {
        self.limits
    }

    pub(crate) const fn at(&self) -> Tick {
        self.at
    }

    /// What was charged, if it was admitted.
    pub(crate) const fn asked(&self) -> &'a [Asked] {
        self.asked
    }
}
