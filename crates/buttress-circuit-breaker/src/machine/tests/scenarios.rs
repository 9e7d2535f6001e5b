//! The scenarios of `tests/vectors`, played on the machine and its rule alone: no clock, no lock, no
//! circuit.

use std::time::Duration;

use buttress_core::{Park, Random, Tick};

use super::{
    super::*,
    scenario::{self, End, Scenario, Subject, range, time, trip},
};
use crate::trip::{Call, Rule};

struct Pure {
    machine: Machine,
    rule: Rule,
    terms: Terms,
    park: Park,
    now: Tick,
    slow_after: Option<Duration>,
    throttled_fails: bool,
    throttled_parks: bool,
    dropped_fails: bool,
    bounds: (Duration, Duration),
}

struct Going {
    admission: Admission,
    generation: u64,
    since: Tick,
}

impl Pure {
    fn of(scenario: &Scenario) -> Self {
        let trip = trip(&scenario.trip).checked().unwrap();
        let open_for = match range(&scenario.open_for) {
            Some((base, cap)) => OpenFor::growing(base, cap).with_jitter(false),
            None => OpenFor::fixed(time(&scenario.open_for)),
        };
        let terms = Terms {
            open_for,
            random: Random::seeded(1),
            probes: trip.probe_terms(scenario.probes, time(&scenario.probe_deadline)),
        };
        let bounds = scenario.retry_after.as_deref().unwrap_or("1s..300s");
        Self {
            machine: Machine::closed(&terms.probes),
            rule: trip.rule(),
            slow_after: trip.slow_after(),
            terms,
            park: Park::free(),
            now: Tick::from_nanos(17),
            throttled_fails: scenario.on_throttled.as_deref() == Some("fail"),
            throttled_parks: scenario.on_throttled.is_none(),
            dropped_fails: scenario.on_drop.as_deref() == Some("fail"),
            bounds: range(bounds).unwrap(),
        }
    }

    fn moved(&self, transition: Option<Transition>) {
        if transition.is_some_and(|transition| transition.to == State::Closed) {
            self.rule.reset();
        }
    }

    fn count(&mut self, call: &Going, failed: bool) {
        let took = self.now.saturating_duration_since(call.since);
        let slow = self.slow_after.is_some_and(|limit| took >= limit);
        let asked = self.park.time_left(self.now);
        let (at, terms) = (self.now, &self.terms);
        let moved = match call.admission {
            Admission::Probe(probe) => {
                let answer = Answer { failed, slow };
                self.machine.settle(probe, answer, at, terms, asked)
            }
            Admission::Watched if self.machine.generation() == call.generation => {
                let reason = self.rule.record(Call { failed, slow, at });
                let reason = reason.and_then(|reason| self.rule.confirm(reason));
                reason
                    .and_then(|reason| self.machine.trip(call.generation, at, reason, terms, asked))
            }
            _ => None,
        };
        self.moved(moved);
    }

    fn give_back(&mut self, call: &Going) {
        if let Admission::Probe(probe) = call.admission {
            let moved = self.machine.give_back(probe, self.now, &self.terms);
            self.moved(moved);
        }
    }
}

impl Subject for Pure {
    type Call = Going;

    async fn begin(&mut self) -> Result<Going, Option<Duration>> {
        let free = matches!(
            self.machine.state(),
            State::Disabled | State::MetricsOnly | State::ForcedOpen
        );
        let parked = self.park.time_left(self.now).filter(|_| !free);
        let until = self.machine.open_until();
        let open = until.saturating_duration_since(self.now);
        if let Some(parked) = parked.filter(|_| self.throttled_parks) {
            return Err(Some(parked.max(open)));
        }
        let (admission, moved) = self.machine.admit(self.now, &self.terms);
        self.moved(moved);
        match admission {
            Admission::Refused(left) => Err(left),
            admission => Ok(Going {
                admission,
                generation: self.machine.generation(),
                since: self.now,
            }),
        }
    }

    async fn end(&mut self, call: Going, end: End) {
        match end {
            End::Ok => self.count(&call, false),
            End::Fail => self.count(&call, true),
            End::Ignored => self.give_back(&call),
            End::Throttled(wait) => {
                let by_hand = matches!(
                    self.machine.state(),
                    State::Disabled | State::MetricsOnly | State::ForcedOpen
                );
                let heard = match call.admission {
                    Admission::Probe(probe) if !self.throttled_fails => {
                        self.machine.hears(probe, self.now)
                    }
                    _ => self.machine.generation() == call.generation,
                };
                let heeds = !by_hand && heard;
                if !self.throttled_fails {
                    self.give_back(&call);
                }
                let (least, most) = self.bounds;
                let wait = wait.unwrap_or(least).max(least).min(most);
                if heeds && (self.throttled_fails || self.throttled_parks) {
                    self.park.park(self.now.saturating_add(wait));
                }
                if self.throttled_fails {
                    self.count(&call, true);
                }
            }
        }
    }

    async fn give_up(&mut self, call: Going) {
        if self.dropped_fails {
            self.count(&call, true);
        } else {
            self.give_back(&call);
        }
    }

    async fn wait(&mut self, span: Duration) {
        self.now = self.now.saturating_add(span);
    }

    fn hand(&mut self, switch: &str) {
        let moved = match switch {
            "open" => self.machine.force_open(),
            "disable" => self.machine.disable(),
            "metrics" => self.machine.metrics_only(),
            _ => {
                self.park.clear();
                self.rule.reset();
                self.machine.disown();
                self.machine.close()
            }
        };
        self.moved(moved);
    }

    fn state(&self) -> String {
        self.machine.state().to_string()
    }
}

#[tokio::test]
async fn the_machine_does_what_the_scenarios_say() {
    for scenario in scenario::all() {
        scenario::play(&scenario, Pure::of(&scenario)).await;
    }
}
