use std::{any::Any, sync::Arc};

use buttress_core::Tick;

use super::{
    Algorithm, FixedWindow, Gcra, LeakyBucket, OneWord as _, Pacing, SlidingLog, SlidingWindow,
    Summaries, Summarize as _, TokenBucket, Word, by_pointer,
    by_request::{ByRequest, moved},
    sliding_log::Entries,
    sliding_window::Addition,
};
use crate::{Decision, Quota, store::signed};

/// Which algorithm a limit uses: the built-in ones of one word without dynamic dispatch.
#[derive(Clone, Debug, Default)]
pub(crate) enum Kind {
    /// And whatever decides as it does.
    #[default]
    Gcra,
    TokenBucket(TokenBucket),
    LeakyBucket(LeakyBucket),
    FixedWindow,
    Pacing(Pacing),
    /// Another of one word.
    Word(Arc<dyn Algorithm>),
    SlidingWindow(SlidingWindow),
    SlidingLog(SlidingLog),
    /// Another of any other number of words.
    Words(Arc<dyn Algorithm>),
    /// Any of them, under quotas that are resolved for each request.
    ByRequest(Arc<ByRequest>),
}

impl Kind {
    pub(crate) fn of(algorithm: impl Algorithm) -> Self {
        if let Some(kind) = Self::built_in(&algorithm) {
            kind
        } else if algorithm.words() == 1 {
            Self::Word(Arc::new(algorithm))
        } else {
            Self::Words(Arc::new(algorithm))
        }
    }

    /// The built-in one that it is, also behind a pointer to any algorithm.
    fn built_in(algorithm: &dyn Algorithm) -> Option<Self> {
        if let Some(pointed_to) = by_pointer::target(algorithm) {
            return Self::built_in(pointed_to);
        }
        let any: &dyn Any = algorithm;
        Some(if any.is::<Gcra>() {
            Self::Gcra
        } else if let Some(bucket) = any.downcast_ref::<TokenBucket>() {
            match bucket.is_gcra() {
                true => Self::Gcra,
                false => Self::TokenBucket(*bucket),
            }
        } else if let Some(bucket) = any.downcast_ref::<LeakyBucket>() {
            match bucket.is_gcra() {
                true => Self::Gcra,
                false => Self::LeakyBucket(*bucket),
            }
        } else if any.is::<FixedWindow>() {
            Self::FixedWindow
        } else if let Some(pacing) = any.downcast_ref::<Pacing>() {
            Self::Pacing(*pacing)
        } else if let Some(window) = any.downcast_ref::<SlidingWindow>() {
            Self::SlidingWindow(*window)
        } else if let Some(log) = any.downcast_ref::<SlidingLog>() {
            Self::SlidingLog(*log)
        } else {
            return None;
        })
    }

    /// Decides on a state of one word, in place; the next one is told where the request is admitted and costs
    /// anything.
    #[inline]
    pub(crate) fn step(
        &self,
        quota: &Quota,
        state: u64,
        now: Tick,
        cost: u64,
        out: &mut Decision,
    ) -> Option<u64> {
        match self {
            Self::Gcra => Gcra.step(quota, state, now, cost, out),
            kind => kind.step_by_word(quota, state, now, cost, out),
        }
    }

    /// The same, of any but GCRA.
    #[inline(never)]
    pub(crate) fn step_by_word(
        &self,
        quota: &Quota,
        state: u64,
        now: Tick,
        cost: u64,
        out: &mut Decision,
    ) -> Option<u64> {
        match self {
            Self::TokenBucket(bucket) => Word(bucket).step(quota, state, now, cost, out),
            Self::LeakyBucket(bucket) => Word(bucket).step(quota, state, now, cost, out),
            Self::FixedWindow => Word(&FixedWindow).step(quota, state, now, cost, out),
            Self::Pacing(pacing) => Word(pacing).step(quota, state, now, cost, out),
            kind => Word(kind.algorithm()).step(quota, state, now, cost, out),
        }
    }

    /// Decides on a state of several words, in a table in memory.
    #[inline]
    pub(crate) fn check_words(
        &self,
        quota: &Quota,
        state: &mut [u64],
        now: Tick,
        cost: u64,
    ) -> Decision {
        match self {
            Self::SlidingWindow(window) => window.check(quota, state, now, cost),
            Self::SlidingLog(log) => log.check(quota, state, now, cost),
            Self::ByRequest(algorithm) => {
                moved(&**algorithm, state, quota, now);
                algorithm.check(quota, state, now, cost)
            }
            kind => kind.algorithm().check(quota, state, now, cost),
        }
    }

    /// The same, but leaves it to [`Planned::charge`] to charge what is admitted.
    #[inline]
    pub(crate) fn plan_words(
        &self,
        quota: &Quota,
        state: &mut [u64],
        now: Tick,
        cost: u64,
    ) -> (Decision, Planned) {
        match self {
            Self::SlidingWindow(window) => {
                let (decision, addition) = window.decide(quota, state, now, cost);
                (decision, Planned::Window(addition))
            }
            Self::SlidingLog(log) => {
                let (decision, entries) = log.decide(quota, state, now, cost);
                (decision, Planned::Log(entries))
            }
            kind => (kind.check_words(quota, state, now, cost), Planned::Other),
        }
    }

    /// [Takes](Algorithm::take) from the summary of such a state, if that is enough.
    #[inline]
    pub(crate) fn take_from_summary(
        &self,
        summaries: Summaries,
        quota: &Quota,
        summary: u64,
        now: Tick,
        cost: u64,
    ) -> Option<(Decision, u64)> {
        match self {
            Self::SlidingWindow(window) => {
                window.take_from_summary(summaries, quota, summary, now, cost)
            }
            Self::SlidingLog(log) => log.take_from_summary(summaries, quota, summary, now, cost),
            _ => None,
        }
    }

    /// The summary of such a state; 0 where it has none.
    #[inline]
    pub(crate) fn summary(&self, summaries: Summaries, quota: &Quota, state: &[u64]) -> u64 {
        match self {
            Self::SlidingWindow(window) => window.summary(summaries, quota, state),
            Self::SlidingLog(log) => log.summary(summaries, quota, state),
            _ => 0,
        }
    }

    /// [Takes](Algorithm::take) from a state of several words.
    #[inline]
    pub(crate) fn take(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: u64) -> Decision {
        match self {
            Self::SlidingWindow(window) => window.take(quota, state, now, cost),
            Self::SlidingLog(log) => log.take(quota, state, now, cost),
            kind => kind.algorithm().take(quota, state, now, cost),
        }
    }

    /// Whether its states are of more than one word, and stand behind locks.
    #[inline]
    pub(crate) const fn is_long(&self) -> bool {
        matches!(
            self,
            Self::SlidingWindow(_) | Self::SlidingLog(_) | Self::Words(_) | Self::ByRequest(_)
        )
    }

    /// Whether it is one of ours.
    pub(crate) fn is_built_in(&self) -> bool {
        match self {
            Self::Word(_) | Self::Words(_) => false,
            Self::ByRequest(algorithm) => algorithm.is_built_in(),
            _ => true,
        }
    }

    pub(crate) fn algorithm(&self) -> &dyn Algorithm {
        match self {
            Self::Gcra => &Gcra,
            Self::TokenBucket(bucket) => bucket,
            Self::LeakyBucket(bucket) => bucket,
            Self::FixedWindow => &FixedWindow,
            Self::Pacing(pacing) => pacing,
            Self::SlidingWindow(window) => window,
            Self::SlidingLog(log) => log,
            Self::Word(algorithm) | Self::Words(algorithm) => &**algorithm,
            Self::ByRequest(algorithm) => algorithm.inner(),
        }
    }

    /// As a table in memory runs it.
    pub(crate) fn in_memory(&self) -> &dyn Algorithm {
        match self {
            Self::ByRequest(algorithm) => &**algorithm,
            kind => kind.algorithm(),
        }
    }

    /// The same, with states that tell the quota that they were written under.
    pub(crate) fn by_request(self) -> Self {
        Self::ByRequest(Arc::new(ByRequest::of(self)))
    }

    /// Whether they do.
    #[inline]
    pub(crate) const fn is_by_request(&self) -> bool {
        matches!(self, Self::ByRequest(_))
    }
}

/// What is to be charged to a state of several words that was decided on, and not changed since.
pub(crate) enum Planned {
    Window(Addition),
    Log(Entries),
    /// What the algorithm makes of it.
    Other,
}

impl Planned {
    #[inline]
    pub(crate) fn charge(
        &self,
        kind: &Kind,
        quota: &Quota,
        state: &mut [u64],
        now: Tick,
        cost: u64,
    ) {
        match self {
            _ if cost == 0 => {}
            Self::Window(addition) => addition.add_to(state),
            Self::Log(entries) => entries.push_to(state),
            Self::Other => kind.in_memory().charge(quota, state, now, signed(cost)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chosen when the program runs, they are as fast as ones that were named in it.
    #[test]
    fn a_built_in_one_behind_a_pointer_is_called_by_name() {
        let chosen: [Kind; 3] = [
            Kind::of(Box::new(FixedWindow) as Box<dyn Algorithm>),
            Kind::of(Arc::new(FixedWindow) as Arc<dyn Algorithm>),
            Kind::of(&FixedWindow as &dyn Algorithm),
        ];
        for kind in chosen {
            assert!(matches!(kind, Kind::FixedWindow), "{kind:?}");
        }
        let twice: Box<dyn Algorithm> = Box::new(Arc::new(Gcra) as Arc<dyn Algorithm>);
        assert!(matches!(Kind::of(twice), Kind::Gcra));
        let log: Box<dyn Algorithm> = Box::new(SlidingLog::for_counts_up_to(9));
        assert!(Kind::of(log).is_long());
    }
}
