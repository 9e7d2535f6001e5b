//! After a call.

use std::time::Duration;

use buttress_core::{Outcome, Tick};

use super::{
    Circuit,
    ticket::{Pass, Stopwatch, Ticket},
};
use crate::{
    CallKind, Happening, OnDrop, OnThrottled, Reason, State,
    machine::{Answer, Probe},
    settings::Settings,
    sync::lock,
    trip::Call,
};

impl Circuit {
    /// A call got an answer that is good so far: its time is taken, a probe has not failed.
    pub(crate) fn answered(&self, settings: &Settings, ticket: &mut Ticket) {
        if let Stopwatch::Running(since) = ticket.stopwatch {
            let took = settings.now().saturating_duration_since(since);
            ticket.stopwatch = Stopwatch::Stopped(took);
        }
        if let Pass::Probe(probe) = ticket.pass {
            let now = settings.now();
            lock(&self.inside).machine.answered(probe, now);
        }
    }

    /// A call's outcome is known.
    #[inline]
    pub(crate) fn settle(&self, settings: &Settings, ticket: Ticket, outcome: Outcome) {
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Failure => true,
            _ => return self.settle_otherwise(settings, ticket, outcome),
        };
        self.count(settings, ticket, failed, CallKind::of(failed));
    }

    /// The call was neither a success nor a failure, or is not known to be.
    #[cold]
    fn settle_otherwise(&self, settings: &Settings, ticket: Ticket, outcome: Outcome) {
        let Outcome::Throttled { retry_after } = outcome else {
            self.give_back(settings, ticket, CallKind::Ignored);
            return;
        };
        match settings.on_throttled {
            OnThrottled::Succeed => self.count(settings, ticket, false, CallKind::Throttled),
            OnThrottled::Ignore => self.give_back(settings, ticket, CallKind::Throttled),
            OnThrottled::Fail => {
                self.note(settings, ticket, settings.wait(retry_after));
                self.count(settings, ticket, true, CallKind::Throttled);
            }
            OnThrottled::Park => {
                let wait = settings.wait(retry_after);
                // Before it is given back: should another probe's deadline end the state then, the word holds in the next
                // one, too.
                let news = self.park(settings, &ticket, wait);
                self.give_back(settings, ticket, CallKind::Throttled);
                if news {
                    self.observe(settings, || Happening::Parked(wait));
                }
            }
        }
    }

    /// Nobody waited for the call's end.
    #[cold]
    pub(crate) fn abandon(&self, settings: &Settings, ticket: Ticket) {
        match settings.on_drop {
            OnDrop::Ignore => self.give_back(settings, ticket, CallKind::Dropped),
            OnDrop::Fail => self.count(settings, ticket, true, CallKind::Dropped),
        }
    }

    #[inline]
    fn count(&self, settings: &Settings, ticket: Ticket, failed: bool, kind: CallKind) {
        match ticket.pass {
            Pass::Unwatched => {}
            Pass::Watched => {
                if self.word().generation() != ticket.generation {
                    self.late(settings, ticket);
                    return;
                }
                let timed = settings.rule_reads_the_clock || ticket.is_timed();
                let at = if timed { settings.now() } else { Tick::ZERO };
                let took = ticket.took(at);
                let slow = is_slow(settings, took);
                let reason = self.rule.record(Call { failed, slow, at });
                self.observe(settings, || Happening::Call { kind, slow, took });
                if let Some(reason) = reason {
                    self.trip(settings, ticket.generation, reason);
                }
            }
            Pass::Probe(probe) => self.count_probe(settings, ticket, probe, failed, kind),
        }
    }

    #[cold]
    fn late(&self, settings: &Settings, ticket: Ticket) {
        self.observe(settings, || {
            let took = ticket.took(settings.now());
            Happening::Call {
                kind: CallKind::Late,
                slow: is_slow(settings, took),
                took,
            }
        });
    }

    #[cold]
    fn count_probe(
        &self,
        settings: &Settings,
        ticket: Ticket,
        probe: Probe,
        failed: bool,
        kind: CallKind,
    ) {
        let now = settings.now();
        let took = ticket.took(now);
        let slow = is_slow(settings, took);
        let mut inside = lock(&self.inside);
        let in_time = inside.machine.hears(probe, now);
        let answer = Answer { failed, slow };
        let asked = self.park.time_left(now);
        let moved = inside
            .machine
            .settle(probe, answer, now, &settings.terms, asked);
        let kind = if in_time { kind } else { CallKind::Late };
        let ended = Happening::Call { kind, slow, took };
        self.settled(settings, inside, Some(ended), moved);
    }

    /// The rule says that the circuit should open.
    #[cold]
    #[inline(never)]
    fn trip(&self, settings: &Settings, generation: u64, reason: Reason) {
        let now = settings.now();
        let mut inside = lock(&self.inside);
        // Another call was faster, or the counts were changing when they were read.
        let still = inside.machine.generation() == generation;
        let Some(reason) = still.then(|| self.rule.confirm(reason)).flatten() else {
            return;
        };
        let asked = self.park.time_left(now);
        let moved = inside
            .machine
            .trip(generation, now, reason, &settings.terms, asked);
        self.settled(settings, inside, None, moved);
    }

    /// The call says nothing.
    fn give_back(&self, settings: &Settings, ticket: Ticket, kind: CallKind) {
        let ended = || {
            let took = ticket.is_timed().then(|| ticket.took(settings.now()));
            let took = took.flatten().or(ticket.took(Tick::ZERO));
            Happening::Call {
                kind,
                slow: is_slow(settings, took),
                took,
            }
        };
        match ticket.pass {
            Pass::Unwatched => {}
            Pass::Watched => self.observe(settings, ended),
            Pass::Probe(probe) => {
                let (now, ended) = (settings.now(), ended());
                let mut inside = lock(&self.inside);
                let moved = inside.machine.give_back(probe, now, &settings.terms);
                self.settled(settings, inside, Some(ended), moved);
            }
        }
    }

    /// The upstream asked a call not to be called for so long: should it open the circuit, that stays open for so long
    /// at least.
    fn note(&self, settings: &Settings, ticket: Ticket, wait: Duration) {
        let until = settings.now().saturating_add(wait);
        // Under the lock, or the circuit might be given to another key meanwhile.
        let inside = lock(&self.inside);
        if inside.machine.generation() == ticket.generation && ticket.is_watched() {
            self.park.park(until);
        }
    }

    /// The upstream asked a call not to be called for so long. Tells whether that is news.
    fn park(&self, settings: &Settings, ticket: &Ticket, wait: Duration) -> bool {
        let now = settings.now();
        let mut inside = lock(&self.inside);
        let in_time = match ticket.pass {
            Pass::Unwatched => false,
            Pass::Watched => inside.machine.generation() == ticket.generation,
            Pass::Probe(probe) => inside.machine.hears(probe, now),
        };
        let heeds = matches!(
            inside.machine.state(),
            State::Closed | State::Open | State::HalfOpen
        );
        if !in_time || !heeds {
            return false;
        }
        let news = self.park.park(now.saturating_add(wait));
        inside.parked = true;
        self.publish(&inside);
        news
    }
}

#[inline]
fn is_slow(settings: &Settings, took: Option<Duration>) -> bool {
    matches!((settings.slow_after, took), (Some(limit), Some(took)) if took >= limit)
}

impl CallKind {
    #[inline]
    const fn of(failed: bool) -> Self {
        if failed {
            Self::Failed
        } else {
            Self::Successful
        }
    }
}
