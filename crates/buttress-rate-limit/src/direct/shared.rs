use std::{cell::Cell, sync::Arc};

use buttress_core::{
    Clock as _, ConfigError, Digest, Sleep, Tick,
    clock::{AnyClock, Sleeping},
};

use crate::{
    Decision, Limit, Quota, Refused,
    algorithm::{Gcra, Kind, OneWord, Summaries},
    limiter::{UNDECIDED, answer},
    store::signed,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering, unpoisoned},
    watcher::Watcher,
};

/// What the clones of a limiter share.
///
/// A state of one word is swapped, of several it stands behind the lock under which the quota is changed. Then the word
/// is the state's [summary](Summaries), which is swapped as well as long as it is enough, or says [`CHANGING`], so that
/// whoever looks at it comes to the lock; who holds that puts the summary aside.
pub(super) struct Shared {
    limit: Limit,
    clock: AnyClock,
    word: AtomicU64,
    /// Held by who changes the quota. Empty where the state is the word.
    words: Mutex<Box<[u64]>>,
    summaries: Option<Summaries>,
    timer: Arc<dyn Sleep>,
    watcher: Option<Watcher>,
}

/// The word while the quota is being changed, and where it is neither the state nor its summary.
const CHANGING: u64 = u64::MAX;

/// There is but one.
const KEY: Digest = Digest::from_u128(1 << 64);

/// Decides; the next state comes with it where the request is admitted and costs anything.
///
/// By two functions, and not by [`OneWord::step`]: with but one state, each swap waits for the one before, and so it counts
/// how soon the next state is known. By way of the decision that would be later.
#[inline]
fn step(quota: &Quota, state: u64, now: Tick, cost: u64, out: &mut Decision) -> Option<u64> {
    let decision = OneWord::check(&Gcra, quota, state, now, cost);
    let charges = decision.is_admitted() && cost > 0;
    *out = decision;
    charges.then(|| OneWord::charge(&Gcra, quota, state, now, signed(cost)))
}

/// Answers with what `decide` writes; it tells the burst of the quota under which it was decided.
///
/// In place: whoever moves what was just written in parts waits until a processor has all of it in its cache.
#[inline(always)]
fn answer_in_place(
    cost: u64,
    decide: impl FnOnce(&mut Decision) -> u64,
) -> Result<Decision, Refused> {
    let mut answer = Ok(UNDECIDED);
    if let Ok(decision) = &mut answer {
        let burst = decide(decision);
        if !decision.is_admitted() {
            answer = Err(Refused::under(burst, *decision, cost));
        }
    }
    answer
}

impl Shared {
    pub(super) fn new(
        limit: Limit,
        clock: AnyClock,
        timer: Arc<dyn Sleep>,
        watcher: Option<Watcher>,
    ) -> Self {
        let (word, words) = match limit.kind().is_long() {
            true => (CHANGING, limit.algorithm().words()),
            false => (0, 0),
        };
        Self {
            // What all share is hardly ever asked for but once in a period.
            summaries: Summaries::of(limit.kind(), limit.quotas().first())
                .filter(|summaries| !matches!(summaries, Summaries::Log)),
            limit,
            clock,
            word: AtomicU64::new(word),
            words: Mutex::new(vec![0; words].into()),
            timer,
            watcher,
        }
    }

    #[inline]
    pub(super) fn now(&self) -> Tick {
        self.clock.now()
    }

    pub(super) const fn limit(&self) -> &Limit {
        &self.limit
    }

    pub(super) const fn watcher(&self) -> Option<&Watcher> {
        self.watcher.as_ref()
    }

    pub(super) fn in_force(&self) -> (Quota, u64) {
        self.limit.in_force()
    }

    pub(super) fn sleep(&self, span: std::time::Duration) -> Sleeping {
        self.timer.sleep(span)
    }

    /// Charges `cost`.
    #[inline(always)]
    pub(super) fn check(&self, cost: u64) -> Result<Decision, Refused> {
        let now = self.now();
        if let Kind::Gcra = self.limit.kind() {
            // Its own, which nobody is lent who is not inlined: it need not be in memory.
            let mut decision = UNDECIDED;
            if let Some(quota) = self.decide(now, cost, step, &mut decision) {
                return answer(quota, decision, cost);
            }
        }
        answer_in_place(cost, |out| self.decide_by_kind(now, cost, out))
    }

    #[inline(never)]
    fn decide_by_kind(&self, now: Tick, cost: u64, out: &mut Decision) -> u64 {
        let kind = self.limit.kind();
        if kind.is_long() {
            return match self.decide_by_summary(now, cost, out) {
                Some(quota) => quota.burst(),
                None => self.acquire(now, cost, out).0.burst(),
            };
        }
        let step = |quota: &Quota, state, now, cost, out: &mut Decision| {
            kind.step(quota, state, now, cost, out)
        };
        match self.decide(now, cost, step, out) {
            Some(quota) => quota.burst(),
            None => self.acquire(now, cost, out).0.burst(),
        }
    }

    /// Charges `cost` in the usual case: a quota that never changed need not be copied. `None`, and nothing is charged,
    /// where it is another one.
    #[inline(always)]
    fn decide(
        &self,
        now: Tick,
        cost: u64,
        step: impl Fn(&Quota, u64, Tick, u64, &mut Decision) -> Option<u64>,
        out: &mut Decision,
    ) -> Option<&Quota> {
        let mut seen = self.word.load(Ordering::Acquire);
        // After the state, which is written last when the quota changes: that of the state, or a later one.
        while let Some(quota) = self.limit.quotas().unchanged()
            && seen != CHANGING
        {
            let next = step(quota, seen, now, cost, out);
            if let Err(newer) = next.map_or(Ok(0), |next| self.swap(seen, next)) {
                seen = newer;
                continue;
            }
            if let Some(watcher) = &self.watcher {
                self.tell(watcher, now, (cost, quota), *out);
            }
            return Some(quota);
        }
        None
    }

    /// The same, where the summary of a state of several words is enough.
    #[inline]
    fn decide_by_summary(&self, now: Tick, cost: u64, out: &mut Decision) -> Option<&Quota> {
        let summaries = self.summaries?;
        let mut seen = self.word.load(Ordering::Acquire);
        // After the summary, as above.
        while let Some(quota) = self.limit.quotas().unchanged()
            && seen != CHANGING
        {
            let kind = self.limit.kind();
            let (decision, next) = kind.take_from_summary(summaries, quota, seen, now, cost)?;
            if let Err(newer) = self.swap(seen, next) {
                seen = newer;
                continue;
            }
            *out = decision;
            if let Some(watcher) = &self.watcher {
                self.tell(watcher, now, (cost, quota), *out);
            }
            return Some(quota);
        }
        None
    }

    /// Charges `cost`, and tells under which quota, of which revision.
    #[inline(never)]
    pub(super) fn acquire(&self, now: Tick, cost: u64, out: &mut Decision) -> (Quota, u64) {
        let kind = self.limit.kind();
        let decided = Cell::from_mut(out);
        let ((), quota, revision) = self.update(
            |quota, revision, words| {
                decided.set(kind.take(quota, words, now, cost));
                // Who is refused is so again, and a summary is of the first quota.
                if let Some(summaries) = self.summaries
                    && revision == 0
                    && decided.get().is_admitted()
                {
                    self.summarize(kind.summary(summaries, quota, words));
                }
            },
            |quota, _, state| {
                let mut decision = UNDECIDED;
                let next = kind.step(quota, state, now, cost, &mut decision);
                decided.set(decision);
                ((), next)
            },
        );
        if let Some(watcher) = &self.watcher {
            self.tell(watcher, now, (cost, &quota), decided.get());
        }
        (quota, revision)
    }

    /// What a request of `cost` would be answered.
    pub(super) fn peek(&self, now: Tick, cost: u64) -> Decision {
        let algorithm = self.limit.algorithm();
        let (decision, ..) = self.update(
            |quota, _, words| algorithm.check(quota, words, now, cost),
            |quota, _, state| (algorithm.check(quota, &[state], now, cost), None),
        );
        decision
    }

    /// Charges `by` more than was charged at `at` under a quota of that revision, or gives back where it is negative.
    pub(super) fn settle(&self, at: Tick, (charged, then): (Quota, u64), by: i64) {
        let algorithm = self.limit.algorithm();
        let charge = |quota: &Quota, revision, words: &mut [u64]| {
            // What was never seen is full.
            if by <= 0 && words.iter().all(|&word| word == 0) {
                return;
            }
            let (at, by) = match revision == then {
                true => (at, by),
                false => self.limit.quotas().settlement(
                    algorithm,
                    (&charged, then),
                    (quota, revision),
                    (at, by),
                ),
            };
            algorithm.charge(quota, words, at, by);
        };
        self.update(
            |quota, revision, words| charge(quota, revision, words),
            |quota, revision, state| {
                let mut words = [state];
                charge(quota, revision, &mut words);
                ((), words.first().copied())
            },
        );
    }

    /// Does to the state, under the quota that it is of, what `locked` does to several words or `step` to one.
    fn update<O>(
        &self,
        mut locked: impl FnMut(&Quota, u64, &mut [u64]) -> O,
        mut step: impl FnMut(&Quota, u64, u64) -> (O, Option<u64>),
    ) -> (O, Quota, u64) {
        loop {
            let seen = self.word.load(Ordering::Acquire);
            if seen == CHANGING || self.summaries.is_some() {
                let mut words = self.words();
                if !words.is_empty() {
                    self.write_back(&mut words);
                    let (quota, revision) = self.in_force();
                    return (locked(&quota, revision, &mut words), quota, revision);
                }
                continue;
            }
            let (quota, revision) = self.in_force();
            let (out, next) = step(&quota, revision, seen);
            let valid = match next {
                Some(next) => self.swap(seen, next).is_ok(),
                // Only who finds the state once more knows that it is of this quota.
                None => self.word.load(Ordering::Acquire) == seen,
            };
            if valid {
                return (out, quota, revision);
            }
        }
    }

    #[inline]
    fn swap(&self, seen: u64, next: u64) -> Result<u64, u64> {
        let (old, new) = (Ordering::AcqRel, Ordering::Acquire);
        let next = next.min(CHANGING - 1);
        self.word.compare_exchange_weak(seen, next, old, new)
    }

    pub(super) fn change(&self, to: Quota, now: Tick) -> Result<(), ConfigError> {
        let mut words = self.words();
        let mut word;
        let state = if words.is_empty() {
            word = Taken::from(&self.word);
            &mut word.state[..]
        } else {
            self.write_back(&mut words);
            &mut words[..]
        };
        let from = self.limit.quota();
        self.limit.set_quota_at(to, now)?;
        self.limit.algorithm().carry_over(&from, &to, state, now);
        Ok(())
    }

    /// Puts the summary of several words aside, if there is one, and makes them what it says. Only who holds their lock.
    fn write_back(&self, words: &mut [u64]) {
        if let Some(summaries) = self.summaries
            && self.word.load(Ordering::Relaxed) != CHANGING
        {
            let summary = self.word.swap(CHANGING, Ordering::AcqRel);
            summaries.write_back(summary, words);
        }
    }

    /// Gives several words a summary, which they have none of. Only who holds their lock.
    fn summarize(&self, summary: u64) {
        if summary != 0 {
            self.word.store(summary, Ordering::Release);
        }
    }

    #[cfg(all(test, loom))]
    pub(super) fn set_word(&self, word: u64) {
        self.word.store(word, Ordering::Release);
    }

    fn words(&self) -> MutexGuard<'_, Box<[u64]>> {
        unpoisoned(self.words.lock())
    }

    /// By value: a decision that somebody points to is kept in memory, where few checks need it.
    #[cold]
    fn tell(&self, watcher: &Watcher, now: Tick, (cost, quota): (u64, &Quota), decision: Decision) {
        watcher.decided(now, &self.limit, KEY, quota, cost, &decision);
    }
}

/// A word that nobody else can swap until it is put back: in any case, also where the algorithm panics.
struct Taken<'a> {
    word: &'a AtomicU64,
    state: [u64; 1],
}

impl<'a> Taken<'a> {
    fn from(word: &'a AtomicU64) -> Self {
        let state = [word.swap(CHANGING, Ordering::AcqRel)];
        Self { word, state }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let [state] = self.state;
        self.word.store(state.min(CHANGING - 1), Ordering::Release);
    }
}
