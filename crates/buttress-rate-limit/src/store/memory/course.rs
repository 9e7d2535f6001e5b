use buttress_core::Tick;

use crate::{
    Limit, Quota,
    algorithm::{OneWord, furthest, is_of_another_time},
    limit::Tag,
    store::table::Era,
};

/// How the states of one limit are read and written for one request.
pub(super) struct Course<'a, A> {
    algorithm: &'a A,
    limit: &'a Limit,
    quota: &'a Quota,
    revision: u64,
    /// Whether the quota is one of the limit's own.
    own: bool,
}

impl<'a, A> Course<'a, A> {
    #[inline(always)]
    pub(super) fn of(
        algorithm: &'a A,
        limit: &'a Limit,
        quota: &'a Quota,
        revision: Option<u64>,
    ) -> Self {
        Self {
            algorithm,
            limit,
            quota,
            revision: match revision {
                Some(revision) => revision,
                None => limit.quotas().revision(),
            },
            own: revision.is_some(),
        }
    }
}

impl<A: OneWord> Era for Course<'_, A> {
    #[inline]
    fn tag(&self) -> Tag {
        self.revision as Tag
    }

    #[inline]
    fn forget_at(&self, state: u64) -> Tick {
        self.algorithm.forget_at(self.quota, state)
    }

    fn furthest(&self, now: Tick) -> u64 {
        furthest(self.quota, now)
    }

    #[cold]
    fn is_of_another_time(&self, state: u64, now: Tick) -> bool {
        let burst = self.quota.burst();
        let whole = || self.algorithm.check(self.quota, state, now, burst);
        is_of_another_time(self.limit.kind(), whole)
    }

    #[cold]
    fn carried_over(&self, state: u64, tag: Tag) -> Option<u64> {
        let quotas = self.limit.quotas();
        if self.own {
            let mut words = [state];
            quotas
                .carry_over(self.limit.algorithm(), &mut words, tag, self.revision)
                .then_some(words[0])
        } else {
            // What was charged under a quota of its own is not the limit's to change.
            quotas.is_until(tag, self.revision).then_some(state)
        }
    }
}
