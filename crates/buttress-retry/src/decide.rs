//! The decision: pure, as data.

mod gate;
mod terms;
mod wait;

use std::time::Duration;

use buttress_core::{Random, Tick};

use self::wait::Wait;
pub(crate) use self::{
    gate::{Gate, gate},
    terms::{LONGEST, Spread, Terms},
};
use crate::{Ended, Judgment};

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryDecision {
    /// Try again after this time.
    Retry {
        /// How long to wait first.
        after: Duration,
    },
    /// Hand on what there is.
    Stop(Ended),
}

/// How things stand after an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// Made so far.
    pub(crate) attempts: u32,
    pub(crate) judgment: Judgment,
    /// Whether doing it twice is known to be harmless.
    pub(crate) safe: bool,
    pub(crate) replayable: bool,
    pub(crate) now: Tick,
    /// From when what was told counts.
    pub(crate) since: Tick,
    pub(crate) deadline: Option<Tick>,
    /// What the backoff says, were there no other word.
    pub(crate) backoff: Duration,
}

impl Situation {
    fn wait(&self, terms: &Terms) -> Wait {
        match (self.judgment, self.judgment.retry_after()) {
            (_, Some(told)) => {
                let spent = self.now.saturating_duration_since(self.since);
                Wait::told(told.saturating_sub(spent), terms.spread)
            }
            (Judgment::Throttled { .. }, None) => {
                Wait::told(self.backoff.max(terms.unhinted), terms.spread)
            }
            (_, None) => Wait::own(self.backoff),
        }
    }

    /// For how long nobody is to call this upstream, if it asked for that.
    pub(crate) fn park(&self, terms: &Terms) -> Option<Duration> {
        matches!(self.judgment, Judgment::Throttled { .. })
            .then(|| self.wait(terms).at_least.min(terms.max_park))
    }

    fn time_left(&self) -> Duration {
        time_left(self.deadline, self.now)
    }
}

/// Until the deadline; for ever where there is none.
pub(crate) fn time_left(deadline: Option<Tick>, now: Tick) -> Duration {
    deadline.map_or(Duration::MAX, |deadline| {
        deadline.saturating_duration_since(now)
    })
}

/// What to do. The budget is asked last, and so is charged only for a retry that is made.
pub(crate) fn decide(
    terms: &Terms,
    at: &Situation,
    random: &Random,
    budget: impl FnOnce() -> bool,
) -> RetryDecision {
    let safe = match at.judgment {
        Judgment::Success => return RetryDecision::Stop(Ended::Success),
        Judgment::NotRetryable => return RetryDecision::Stop(Ended::NotRetryable),
        Judgment::GiveUp => return RetryDecision::Stop(Ended::GaveUp),
        Judgment::Unprocessed { .. } => true,
        Judgment::Transient { .. } | Judgment::Throttled { .. } => at.safe,
    };
    let wait = at.wait(terms);
    let left = at.time_left();
    if left.is_zero() {
        // Whatever else there is to say: there is no time for another one.
        RetryDecision::Stop(Ended::Deadline)
    } else if at.attempts >= terms.max_attempts {
        // Before all that is said of a further one: for the last one nothing is kept.
        RetryDecision::Stop(Ended::Attempts)
    } else if !safe {
        RetryDecision::Stop(Ended::NotSafe)
    } else if !at.replayable {
        RetryDecision::Stop(Ended::NotReplayable)
    } else if at
        .judgment
        .retry_after()
        .is_some_and(|told| told > terms.max_wait)
    {
        // Coming back earlier than told would be answered the same, and later than allowed helps nobody.
        RetryDecision::Stop(Ended::GaveUp)
    } else if wait.at_least >= left {
        RetryDecision::Stop(Ended::Deadline)
    } else if !budget() {
        RetryDecision::Stop(Ended::Budget)
    } else {
        RetryDecision::Retry {
            after: wait.draw(left, random),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{terms::TERMS, *};

    const S: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    /// After the first of three attempts, with all the time in the world.
    fn after(judgment: Judgment) -> Situation {
        Situation {
            attempts: 1,
            judgment,
            safe: true,
            replayable: true,
            now: Tick::from_nanos(1_000),
            since: Tick::from_nanos(1_000),
            deadline: None,
            backoff: 200 * MS,
        }
    }

    fn decided(at: Situation) -> RetryDecision {
        decide(&TERMS, &at, &Random::seeded(1), || true)
    }

    const TOLD: fn(u64) -> Judgment = |seconds| Judgment::Transient {
        retry_after: Some(Duration::from_secs(seconds)),
    };

    #[test]
    fn every_reason_to_stop() {
        let transient = after(Judgment::TRANSIENT);
        let deadline = |after: Duration| Some(transient.now.saturating_add(after));
        let cases = [
            (after(Judgment::Success), Ended::Success),
            (after(Judgment::NotRetryable), Ended::NotRetryable),
            (after(Judgment::GiveUp), Ended::GaveUp),
            (
                Situation {
                    safe: false,
                    ..transient
                },
                Ended::NotSafe,
            ),
            (
                Situation {
                    replayable: false,
                    ..transient
                },
                Ended::NotReplayable,
            ),
            (
                Situation {
                    attempts: 3,
                    ..transient
                },
                Ended::Attempts,
            ),
            (
                Situation {
                    deadline: deadline(200 * MS),
                    ..transient
                },
                Ended::Deadline,
            ),
            (after(TOLD(61)), Ended::GaveUp),
            // 6.5 days were once slept.
            (after(TOLD(561_635)), Ended::GaveUp),
            (
                Situation {
                    deadline: deadline(5 * S),
                    ..after(TOLD(5))
                },
                Ended::Deadline,
            ),
        ];
        for (at, ended) in cases {
            assert_eq!(decided(at), RetryDecision::Stop(ended), "{at:?}");
        }
        let broke = decide(&TERMS, &transient, &Random::seeded(1), || false);
        assert_eq!(broke, RetryDecision::Stop(Ended::Budget));
    }

    /// The longest wait is one that may be asked for.
    #[test]
    fn a_wait_as_long_as_allowed_is_waited_for() {
        let RetryDecision::Retry { after } = decided(after(TOLD(60))) else {
            panic!("given up")
        };
        assert!(60 * S <= after && after <= 75 * S, "{after:?}");
    }

    /// Of a wait of a few milliseconds a quarter is nothing that a crowd could be spread over.
    #[test]
    fn a_short_wait_is_spread_all_the_same() {
        let told = Judgment::Throttled {
            retry_after: Some(4 * MS),
        };
        let random = Random::seeded(1);
        let waits = (0..100).map(|_| {
            let decision = decide(&TERMS, &after(told), &random, || true);
            let RetryDecision::Retry { after } = decision else {
                panic!("{decision:?}")
            };
            after
        });
        let (soon, late): (Vec<_>, _) = waits.partition(|wait| *wait <= 54 * MS);
        assert!(soon.iter().all(|wait| *wait >= 4 * MS));
        assert!(late.iter().all(|wait| *wait <= 104 * MS));
        assert!((30..=70).contains(&soon.len()), "{} of 100", soon.len());
    }

    /// What is not retried for another reason costs nothing.
    #[test]
    fn the_budget_is_asked_last() {
        let never = || panic!("asked");
        let transient = after(Judgment::TRANSIENT);
        for at in [
            after(Judgment::Success),
            after(TOLD(61)),
            Situation {
                attempts: 3,
                ..transient
            },
            Situation {
                safe: false,
                ..transient
            },
            Situation {
                deadline: Some(transient.now),
                ..transient
            },
        ] {
            let decision = decide(&TERMS, &at, &Random::seeded(1), never);
            assert!(matches!(decision, RetryDecision::Stop(_)), "{decision:?}");
        }
    }

    #[test]
    fn what_was_not_processed_is_repeated_whatever_it_is() {
        let at = Situation {
            safe: false,
            ..after(Judgment::UNPROCESSED)
        };
        assert_eq!(decided(at), RetryDecision::Retry { after: 200 * MS });
    }

    #[test]
    fn a_time_is_parked_for_only_where_it_was_asked_for() {
        let park = |judgment| after(judgment).park(&TERMS);
        assert_eq!(park(TOLD(5)), None);
        assert_eq!(park(Judgment::UNPROCESSED), None);
        let throttled = |retry_after| park(Judgment::Throttled { retry_after });
        assert_eq!(throttled(Some(5 * S)), Some(5 * S));
        assert_eq!(throttled(Some(561_635 * S)), Some(300 * S));
        assert_eq!(throttled(None), Some(S), "longer than the backoff");
    }

    proptest! {
        /// T4 of the traps: never earlier than told, later by jitter only, never past the deadline.
        #[test]
        fn the_servers_word_is_kept(
            told in 0..60_000_u64, left in 0..120_000_u64, throttled: bool, seed: u64,
        ) {
            let told = Duration::from_millis(told);
            let judgment = if throttled {
                Judgment::Throttled { retry_after: Some(told) }
            } else {
                Judgment::Transient { retry_after: Some(told) }
            };
            let at = after(judgment);
            let left = Duration::from_millis(left);
            let at = Situation { deadline: Some(at.now.saturating_add(left)), ..at };
            match decide(&TERMS, &at, &Random::seeded(seed), || true) {
                RetryDecision::Retry { after } => {
                    prop_assert!(told <= after && after <= told + (told / 4).max(100 * MS));
                    // The attempt is left some of the time, too.
                    prop_assert!(after - told <= (left - told) / 2);
                }
                verdict => {
                    prop_assert_eq!(verdict, RetryDecision::Stop(Ended::Deadline));
                    prop_assert!(told >= left);
                }
            }
        }

        /// Jitter of the backoff is not jittered again, and no word makes it longer.
        #[test]
        fn without_a_word_the_backoff_is_kept(backoff in 0..60_000_u64, seed: u64) {
            let backoff = Duration::from_millis(backoff);
            let at = Situation { backoff, ..after(Judgment::TRANSIENT) };
            let verdict = decide(&TERMS, &at, &Random::seeded(seed), || true);
            prop_assert_eq!(verdict, RetryDecision::Retry { after: backoff });
        }
    }
}
