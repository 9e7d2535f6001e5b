//! What holds whatever happens.

use std::time::Duration;

use buttress_core::{Random, Tick};
use proptest::prelude::*;

use super::super::*;

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Admit,
    Settle { nth: usize, failed: bool },
    GiveBack(usize),
    Answered(usize),
    Trip,
    ByHand(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u64..4_000).prop_map(Step::Wait),
        6 => Just(Step::Admit),
        4 => (0_usize..8, any::<bool>()).prop_map(|(nth, failed)| Step::Settle { nth, failed }),
        1 => (0_usize..8).prop_map(Step::GiveBack),
        1 => (0_usize..8).prop_map(Step::Answered),
        2 => Just(Step::Trip),
        1 => (0_u8..4).prop_map(Step::ByHand),
    ]
}

fn terms(probes: u32, failures: u32) -> Terms {
    Terms {
        open_for: OpenFor::growing(Duration::from_secs(1), Duration::from_secs(8)),
        random: Random::seeded(5),
        probes: ProbeTerms {
            count: probes,
            deadline: Duration::from_secs(2),
            failures,
            slow: u32::MAX,
        },
    }
}

/// A machine that has gone through `steps`, the time, and the probes that nobody settled.
fn after(
    steps: Vec<Step>,
    terms: &Terms,
    mut look: impl FnMut(&Machine, &[Probe]),
) -> (Machine, Tick) {
    let mut machine = Machine::closed(&terms.probes);
    let mut now = Tick::ZERO;
    let mut out = Vec::new();
    for step in steps {
        match step {
            Step::Wait(millis) => now = now.saturating_add(Duration::from_millis(millis)),
            Step::Admit => {
                if let (Admission::Probe(probe), _) = machine.admit(now, terms) {
                    out.push(probe);
                }
            }
            Step::Settle { nth, failed } if nth < out.len() => {
                let answer = Answer {
                    failed,
                    slow: false,
                };
                machine.settle(out.remove(nth), answer, now, terms, None);
            }
            Step::GiveBack(nth) if nth < out.len() => {
                machine.give_back(out.remove(nth), now, terms);
            }
            Step::Answered(nth) if nth < out.len() => machine.answered(out[nth], now),
            Step::Settle { .. } | Step::GiveBack(_) | Step::Answered(_) => {}
            Step::Trip => {
                let generation = machine.generation();
                machine.trip(generation, now, Reason::FailureRate, terms, None);
            }
            Step::ByHand(switch) => {
                match switch {
                    0 => machine.disable(),
                    1 => machine.force_open(),
                    2 => machine.metrics_only(),
                    _ => machine.close(),
                };
            }
        }
        look(&machine, &out);
    }
    (machine, now)
}

proptest! {
    /// From every state that can be reached, but those by hand, a healthy upstream leads to Closed: after
    /// the longest open time and one probe's deadline, with as many calls as there are probes.
    #[test]
    fn a_healthy_upstream_closes_it_in_bounded_time(steps in prop::collection::vec(step(), 0..80), probes in 1_u32..5, failures in 1_u32..3) {
        let terms = terms(probes, failures.min(probes));
        let (mut machine, mut now) = after(steps, &terms, |_, _| {});
        if matches!(machine.state(), State::Disabled | State::ForcedOpen | State::MetricsOnly) {
            machine.close();
        }
        // The deadline of probes that were lost, then twice the longest open time: what was lost may have
        // opened it again.
        let bound = now.saturating_add(Duration::from_secs(2 + 8 + 8));
        let tick = Duration::from_millis(100);
        while machine.state() != State::Closed {
            prop_assert!(now <= bound, "still {} at {now:?}", machine.state());
            if let (Admission::Probe(probe), _) = machine.admit(now, &terms) {
                let answer = Answer { failed: false, slow: false };
                machine.settle(probe, answer, now, &terms, None);
            } else {
                now = now.saturating_add(tick);
            }
        }
    }

    /// Never more probes than were asked for, whatever is lost, given back or late.
    #[test]
    fn probes_are_bounded(steps in prop::collection::vec(step(), 0..80), probes in 1_u32..5) {
        let terms = terms(probes, 1);
        after(steps, &terms, |machine, _| {
            assert!(machine.probes_in_flight() <= probes as usize);
        });
    }

    /// Whoever was admitted in an earlier generation moves nothing.
    #[test]
    fn every_change_is_a_new_generation(steps in prop::collection::vec(step(), 0..80)) {
        let terms = terms(2, 1);
        let mut last = (State::Closed, 0);
        after(steps, &terms, |machine, _| {
            let (state, generation) = (machine.state(), machine.generation());
            assert!(generation >= last.1);
            assert!(state == last.0 || generation > last.1);
            last = (state, generation);
        });
    }

    /// Refused until exactly the time that was told, then admitted.
    #[test]
    fn the_time_left_is_exact(at in 0_u64..1 << 40, seed in any::<u64>()) {
        let terms = Terms { random: Random::seeded(seed), ..terms(1, 1) };
        let now = Tick::from_nanos(at);
        let mut machine = Machine::closed(&terms.probes);
        machine.trip(0, now, Reason::FailureRate, &terms, None);
        let (Admission::Refused(Some(left)), None) = machine.admit(now, &terms) else {
            panic!("it is open");
        };
        let just_before = now.saturating_add(left - Duration::from_nanos(1));
        prop_assert_eq!(machine.admit(just_before, &terms).0, Admission::Refused(Some(Duration::from_nanos(1))));
        prop_assert!(matches!(machine.admit(now.saturating_add(left), &terms).0, Admission::Probe(_)));
    }
}

/// The way of a probe that was lost, and whose place another one has: the late answer finds nobody.
#[test]
fn a_late_answer_does_not_settle_another_probe() {
    let terms = terms(1, 1);
    let mut machine = Machine::closed(&terms.probes);
    machine.trip(0, Tick::ZERO, Reason::FailureRate, &terms, None);
    let mut now = Tick::from_duration(Duration::from_secs(9));
    let (Admission::Probe(lost), _) = machine.admit(now, &terms) else {
        panic!("its time is up");
    };
    machine.give_back(lost, now, &terms);
    let (Admission::Probe(next), _) = machine.admit(now, &terms) else {
        panic!("a place is free");
    };
    let good = Answer {
        failed: false,
        slow: false,
    };
    assert_eq!(machine.settle(lost, good, now, &terms, None), None);
    assert_eq!(machine.state(), State::HalfOpen);
    now = now.saturating_add(Duration::from_secs(1));
    let moved = machine.settle(next, good, now, &terms, None).unwrap();
    assert_eq!(moved.to_string(), "half_open => closed: probes_succeeded");
}

/// gRPC's probes: headers came, trailers did not before the deadline.
#[test]
fn a_probe_that_answered_is_a_success_at_its_deadline() {
    let terms = terms(1, 1);
    let mut machine = Machine::closed(&terms.probes);
    machine.trip(0, Tick::ZERO, Reason::FailureRate, &terms, None);
    let now = Tick::from_duration(Duration::from_secs(9));
    let (Admission::Probe(stream), _) = machine.admit(now, &terms) else {
        panic!("its time is up");
    };
    machine.answered(stream, now);
    let (admission, moved) = machine.admit(now.saturating_add(Duration::from_secs(2)), &terms);
    assert_eq!(admission, Admission::Watched);
    assert_eq!(moved.unwrap().to, State::Closed);
}

/// As nobody may have called since: then nobody has looked whether the deadline has passed.
#[test]
fn headers_that_come_after_the_deadline_do_not_make_a_success() {
    let terms = terms(1, 1);
    let mut machine = Machine::closed(&terms.probes);
    machine.trip(0, Tick::ZERO, Reason::FailureRate, &terms, None);
    let sent = Tick::from_duration(Duration::from_secs(9));
    let (Admission::Probe(stream), _) = machine.admit(sent, &terms) else {
        panic!("its time is up");
    };
    let late = sent.saturating_add(Duration::from_secs(2));
    assert!(!machine.hears(stream, late));
    machine.answered(stream, late);
    let moved = machine.give_back(stream, late, &terms).unwrap();
    assert_eq!(moved.to_string(), "half_open => open: probes_failed");
}
