//! Conservation: what was charged, less what was given back, is what the states hold, also across changes of the
//! quota: in proportion.

use std::sync::Arc;

use buttress_core::{
    DigestKey,
    clock::{AnyClock, ManualClock},
};
use proptest::prelude::*;

use super::*;
use crate::{
    FixedWindow, Gcra, LeakyBucket, Overflow, Pacing, Quota, SlidingLog, SlidingWindow,
    TokenBucket, algorithm::Kind, limiter::UNDECIDED,
};

const START: Tick = Tick::from_nanos(1_000_000_000_000);

/// Small parts of large quotas, so that nothing comes back meanwhile, and nothing is ever used up.
#[derive(Clone, Debug)]
enum Op {
    Charge(u64),
    /// The nth charge cost so much in truth.
    Settle(usize, u64),
    Change(u64, u64),
    Look,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0..4_u64).prop_map(Op::Charge),
        3 => (0..30_usize, 0..4_u64).prop_map(|(nth, actual)| Op::Settle(nth, actual)),
        1 => (200..2_000_u64, 1..30_u64).prop_map(|(count, hours)| Op::Change(count, hours)),
        1 => Just(Op::Look),
    ];
    prop::collection::vec(op, 1..60)
}

fn kinds() -> [Kind; 7] {
    [
        Kind::of(Gcra),
        Kind::of(TokenBucket::refilled_at_intervals()),
        Kind::of(LeakyBucket::as_queue()),
        Kind::of(Pacing::up_to(std::time::Duration::from_secs(9))),
        Kind::of(FixedWindow),
        Kind::of(SlidingWindow::of_sub_windows(4)),
        Kind::of(SlidingLog::for_counts_up_to(2_000)),
    ]
}

/// A charge that was made, and what it says of the burst: charged under which quota, and when.
struct Made {
    quota: (Quota, u64),
    at: Tick,
    cost: u64,
    settled: bool,
}

/// One key of one limit, and what it should have used.
struct Run {
    limit: Arc<Limit>,
    store: MemoryStore,
    clock: ManualClock,
    key: Digest,
    made: Vec<Made>,
    used: f64,
    /// What rounding may have added: never taken away.
    rounded: f64,
}

impl Run {
    fn of(kind: Kind, key: u64) -> Self {
        let (quota, clock) = ("1000/h".parse().unwrap(), ManualClock::at(START));
        let any = AnyClock::of(clock.clone());
        let limit = Limit::build("".into(), 0, quota, kind, Overflow::Share, any).unwrap();
        let limit = Arc::new(limit);
        let store = MemoryStore::with_room_for(std::slice::from_ref(&limit), 4).unwrap();
        Self {
            limit,
            store,
            clock,
            key: DigestKey::from_words(1, 2).digest(&key),
            made: Vec::new(),
            used: 0.0,
            rounded: 0.0,
        }
    }

    fn charge<'a>(&'a self, quota: &'a (Quota, u64), cost: u64) -> Charge<'a> {
        Charge {
            limit: &self.limit,
            key: self.key,
            quota: &quota.0,
            revision: Some(quota.1),
            cost,
        }
    }

    fn step(&mut self, op: &Op) {
        self.clock.advance(std::time::Duration::from_nanos(1));
        let (now, quota) = (
            buttress_core::Clock::now(&self.clock),
            self.limit.in_force(),
        );
        let burst = quota.0.burst() as f64;
        match *op {
            Op::Charge(cost) => {
                let mut out = [UNDECIDED];
                let _ = self
                    .store
                    .acquire(now, &[self.charge(&quota, cost)], &mut out);
                assert!(out[0].is_admitted());
                self.used += cost as f64 / burst;
                self.made.push(Made {
                    quota,
                    at: now,
                    cost,
                    settled: false,
                });
            }
            Op::Settle(nth, actual) => {
                let Some(made) = self.made.get_mut(nth).filter(|made| !made.settled) else {
                    return;
                };
                made.settled = true;
                let Made {
                    quota: then,
                    at,
                    cost,
                    ..
                } = *made;
                let by = signed(actual) - signed(cost);
                let at = if by < 0 { at } else { now };
                self.store.settle(at, &self.charge(&then, cost), by);
                self.used += by as f64 / then.0.burst() as f64;
                if then.1 != quota.1 {
                    self.rounded += 1.0 / burst;
                }
            }
            Op::Change(count, hours) => {
                let period = std::time::Duration::from_secs(3_600 * hours);
                self.limit.set_quota(Quota::per(count, period)).unwrap();
                // Where requests are counted, not time.
                self.rounded += 1.0 / count as f64;
            }
            Op::Look => {}
        }
    }

    fn held(&self) -> f64 {
        let (now, quota) = (
            buttress_core::Clock::now(&self.clock),
            self.limit.in_force(),
        );
        let mut decision = UNDECIDED;
        self.store
            .peek(now, &self.charge(&quota, 0), &mut decision)
            .unwrap();
        1.0 - decision.remaining() as f64 / quota.0.burst() as f64
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn charges_less_refunds_are_what_the_state_holds(ops in ops(), key: u64) {
        for kind in kinds() {
            let name = format!("{kind:?}");
            let mut run = Run::of(kind, key);
            for op in ops.iter().chain([&Op::Look]) {
                run.step(op);
                // Looking at all times, or only now and then: changes that nobody saw are made up for.
                if !matches!(op, Op::Look) {
                    continue;
                }
                // Tokens that come back within the run, and what is left counts whole requests.
                let one = 1.0 / run.limit.quota().burst() as f64 + 1e-6;
                let (held, used) = (run.held(), run.used.max(0.0));
                prop_assert!(held >= used - 1e-6, "{name}: {held}, not {used}");
                prop_assert!(held <= used + run.rounded + one, "{name}: {held}, not {used}");
            }
        }
    }
}
