use std::{sync::Arc, time::Duration};

use buttress_core::{Digest, Tick};

use crate::{Decision, Limit, Quota, store::Charge};

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
    /// The quota that was found for this request; `None`: the policy's own.
    pub(crate) quota: Option<Quota>,
    pub(crate) cost: u64,
}

impl Asked {
    #[inline]
    pub(crate) fn quota_of<'a>(&'a self, limit: &'a Limit) -> &'a Quota {
        self.quota.as_ref().unwrap_or(limit.quota())
    }

    #[inline]
    pub(crate) fn of<'a>(&'a self, limit: &'a Arc<Limit>) -> Charge<'a> {
        Charge {
            limit,
            key: self.key,
            quota: self.quota_of(limit),
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
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a Quota, &'a Decision)> + use<'a> {
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
                let quota = asked.map_or(limit.quota(), |asked| asked.quota_of(limit));
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

    /// Whether all policies apply, with their own quotas.
    pub(crate) fn is_plain(&self) -> bool {
        self.asked.len() == self.limits.len()
            && self.asked.iter().all(|asked| asked.quota.is_none())
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
            Some((asked.ordinal, *asked.quota_of(limit), *decision))
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
