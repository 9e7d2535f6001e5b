//! The time of the only request of a log, in one word: enough where that is over, as it is for who comes less often than
//! once in a period.
//!
//! The log of who comes more often is not summarized: its oldest request would have to be looked at.

use buttress_core::Tick;

use super::{
    SlidingLog,
    log::{Log, head},
};
use crate::{
    Decision, Quota,
    algorithm::{Summaries, Summarize},
};

pub(in crate::algorithm) fn write_back(summary: u64, state: &mut [u64]) {
    if let [head_word, latest, first, ..] = state {
        *first = summary;
        *latest = summary;
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
        let over = summary <= now.as_nanos().checked_sub(period)?;
        if summary == 0 || !over || cost != 1 {
            return None;
        }
        let decision = Log::empty(&[]).decide(self.limit(quota), 0, (now, period), cost);
        Some((decision, now.as_nanos()))
    }

    fn summary(&self, _: Summaries, _: &Quota, state: &[u64]) -> u64 {
        let log = Log::of(state);
        match (log.first, log.len) {
            (0, 1) => log.latest,
            _ => 0,
        }
    }
}
