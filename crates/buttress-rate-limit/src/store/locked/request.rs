use buttress_core::Tick;

use crate::{
    Algorithm, Decision, Quota,
    algorithm::{Kind, furthest, is_of_another_time, moved, told_quota},
    limit::{InForce, Tag},
};

/// One limit's way of deciding, at one time.
pub(in crate::store) struct Request<'a, A: ?Sized> {
    pub(in crate::store) algorithm: &'a A,
    pub(in crate::store) quota: &'a Quota,
    /// Whether it is one of the limit's own quotas, which are these.
    pub(in crate::store) own: bool,
    /// Which one it is.
    pub(in crate::store) kind: &'a Kind,
    /// Whether its states tell their quotas.
    pub(in crate::store) by_request: bool,
    pub(in crate::store) quotas: &'a InForce,
    /// Which of them is in force.
    pub(in crate::store) revision: u64,
    pub(in crate::store) now: Tick,
    pub(in crate::store) cost: u64,
}

/// What became of a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Found<T> {
    /// It was decided on the state of its key.
    Known(T),
    /// The key is unknown, and all the slots in which it could stand are taken by others.
    Full,
    /// The state was written under a later quota.
    Stale,
}

/// The state was written under a later quota than the one that is asked for.
pub(super) struct Later;

impl<A: Algorithm + ?Sized> Request<'_, A> {
    #[inline]
    pub(super) fn check(&self, state: &[u64]) -> Decision {
        self.algorithm.check(self.quota, state, self.now, self.cost)
    }

    /// Decides on the state of a key, which is one of this quota from then on.
    #[inline]
    pub(super) fn move_and_check(&self, state: &mut [u64]) -> Decision {
        self.move_to_quota(state);
        self.check(state)
    }

    /// The same, and charges it what is admitted.
    #[inline]
    pub(in crate::store) fn take(&self, state: &mut [u64]) -> Decision {
        self.move_to_quota(state);
        self.algorithm.take(self.quota, state, self.now, self.cost)
    }

    #[inline]
    fn move_to_quota(&self, state: &mut [u64]) {
        if self.by_request {
            moved(self.algorithm, state, self.quota, self.now);
        }
    }

    #[inline]
    pub(super) fn charge(&self, state: &mut [u64], by: i64) {
        self.algorithm.charge(self.quota, state, self.now, by);
    }

    /// What its states are tagged with.
    pub(super) fn tag(&self) -> Tag {
        self.revision as Tag
    }

    /// Makes a state of another tag one of this.
    pub(super) fn carry_over(&self, state: &mut [u64], written: Tag) -> Result<(), Later> {
        let quotas = self.quotas;
        let earlier = if written == self.tag() {
            true
        } else if self.own || self.by_request {
            quotas.carry_over(self.algorithm, state, written, self.revision)
        } else {
            // Other quotas than the limit's own do not change.
            quotas.is_until(written, self.revision)
        };
        if earlier { Ok(()) } else { Err(Later) }
    }

    /// Later than this hardly a state is forgotten that was written by this clock.
    pub(super) fn furthest(&self) -> u64 {
        if self.by_request {
            // Each by its own quota.
            self.now.as_nanos()
        } else {
            furthest(self.quota, self.now)
        }
    }

    /// Since when a state can be forgotten, if it can.
    pub(super) fn can_forget(
        &self,
        state: &mut [u64],
        written: Tag,
        furthest: u64,
    ) -> Option<Tick> {
        self.carry_over(state, written).ok()?;
        let since = self.algorithm.forget_at(self.quota, state);
        if since <= self.now {
            Some(since)
        } else if since.as_nanos() <= furthest {
            None
        } else {
            self.is_of_another_time(state, since).then_some(Tick::ZERO)
        }
    }

    #[cold]
    #[inline(never)]
    fn is_of_another_time(&self, state: &[u64], since: Tick) -> bool {
        let told = self.by_request.then(|| told_quota(state)).flatten();
        let quota = told.as_ref().unwrap_or(self.quota);
        let whole = || self.algorithm.check(quota, state, self.now, quota.burst());
        since.as_nanos() > furthest(quota, self.now) && is_of_another_time(self.kind, whole)
    }
}
