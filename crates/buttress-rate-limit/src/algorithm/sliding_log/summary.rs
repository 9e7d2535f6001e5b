//! The latest time of a log in one word: enough where all of the log is over, as it is for who comes less often than once in
//! a period.
//!
//! Twice that time, and one more where the log is that one request alone and the state does not tell.

use buttress_core::Tick;

use super::{
    SlidingLog,
    log::{Log, head},
};
use crate::{
    Decision, Quota,
    algorithm::{Summaries, Summarize},
};

const IS_ALL: u64 = 1;

pub(in crate::algorithm) fn write_back(summary: u64, state: &mut [u64]) {
    if summary & IS_ALL != 0
        && let [head_word, latest, first, ..] = state
    {
        *latest = summary >> 1;
        *first = *latest;
        *head_word = head(0, 1);
    }
}

impl Summarize for SlidingLog {
    #[inline(always)]
    fn take_from_summary(
        &self,
        _: Summaries,
        quota: &Quota,
        summary: u64,
        now: Tick,
        cost: u64,
    ) -> Option<(Decision, u64)> {
        let period = quota.period_nanos().get();
        let over = summary >> 1 <= now.as_nanos().checked_sub(period)?;
        let next = now.as_nanos().checked_mul(2)? | IS_ALL;
        if summary == 0 || !over || cost != 1 {
            return None;
        }
        let decision = Log::empty(&[]).decide(self.limit(quota), 0, (now, period), cost);
        Some((decision, next))
    }

    fn summary(&self, _: Summaries, _: &Quota, state: &[u64]) -> u64 {
        let latest = Log::of(state).last();
        latest.and_then(|latest| latest.checked_mul(2)).unwrap_or(0)
    }
}
