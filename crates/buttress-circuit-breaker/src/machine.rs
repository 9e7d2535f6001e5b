use std::time::Duration;

use buttress_core::{Random, Tick};

use self::probes::Probes;
pub(crate) use self::probes::{Probe, ProbeTerms};
use crate::{OpenFor, Reason, State, Transition};

mod probes;

/// The states of one circuit and all ways between them, as a function of what happens and when.
///
/// It reads no clock and takes no lock. While it is closed nobody asks it anything: calls are counted by
/// the rule beside it, which says when to [`trip`](Self::trip).
///
/// Every change of state begins a new *generation*. Whatever was admitted in an earlier one changes
/// nothing any more.
#[derive(Debug)]
pub(crate) struct Machine {
    phase: Phase,
    generation: u64,
    /// How often it opened since it was last closed.
    trips: u32,
    probes: Probes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Tick },
    HalfOpen,
    Disabled,
    ForcedOpen,
    MetricsOnly,
}

/// What stays the same for the life of a circuit.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) open_for: OpenFor,
    pub(crate) random: Random,
    pub(crate) probes: ProbeTerms,
}

/// May a call go?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Yes, and its outcome is counted by the rule.
    Watched,
    /// Yes, and its outcome says nothing to anybody.
    Unwatched,
    /// Yes, and its outcome decides whether the circuit closes.
    Probe(Probe),
    /// No, for so long; `None` where nobody knows.
    Refused(Option<Duration>),
}

/// While all probes are out nobody knows when the next call may go: it may be any moment. Callers are told
/// to come back after at most this.
const WHILE_PROBING: Duration = Duration::from_secs(1);

impl Machine {
    pub(crate) fn closed(terms: &ProbeTerms) -> Self {
        Self {
            phase: Phase::Closed,
            generation: 0,
            trips: 0,
            probes: Probes::with_room_for(terms),
        }
    }

    pub(crate) const fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen => State::HalfOpen,
            Phase::Disabled => State::Disabled,
            Phase::ForcedOpen => State::ForcedOpen,
            Phase::MetricsOnly => State::MetricsOnly,
        }
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// How often it opened since it was last closed.
    pub(crate) const fn trips(&self) -> u32 {
        self.trips
    }

    pub(crate) fn probes_in_flight(&self) -> usize {
        self.probes.in_flight()
    }

    /// When calls may go again; [`Tick::ZERO`] where it is not open.
    pub(crate) const fn open_until(&self) -> Tick {
        match self.phase {
            Phase::Open { until } => until,
            _ => Tick::ZERO,
        }
    }

    /// A call wants to go at `now`. Time may have moved the machine before it is answered.
    pub(crate) fn admit(&mut self, now: Tick, terms: &Terms) -> (Admission, Option<Transition>) {
        let moved = self.tick(now, terms);
        let admission = match self.phase {
            Phase::Closed | Phase::MetricsOnly => Admission::Watched,
            Phase::Disabled => Admission::Unwatched,
            Phase::ForcedOpen => Admission::Refused(None),
            Phase::Open { until } => Admission::Refused(Some(until.saturating_duration_since(now))),
            Phase::HalfOpen => match self.probes.send(now, &terms.probes) {
                Some(probe) => Admission::Probe(probe),
                None => {
                    let first = self.probes.first_deadline().unwrap_or(now);
                    let left = first.saturating_duration_since(now);
                    Admission::Refused(Some(left.min(WHILE_PROBING)))
                }
            },
        };
        (admission, moved)
    }

    /// Does what is due at `now`: an open circuit whose time is up lets probes through, and probes past
    /// their deadline are judged.
    fn tick(&mut self, now: Tick, terms: &Terms) -> Option<Transition> {
        match self.phase {
            Phase::Open { until } if until <= now => {
                // Open => HalfOpen
                self.probes.forget();
                Some(self.enter(Phase::HalfOpen, Reason::TimeIsUp))
            }
            Phase::HalfOpen => {
                self.probes.expire(now);
                self.judge(now, terms, None)
            }
            _ => None,
        }
    }

    /// The rule says that the calls of `generation` were too bad. `asked` is for how long the upstream
    /// itself asked to be left alone.
    pub(crate) fn trip(
        &mut self,
        generation: u64,
        now: Tick,
        reason: Reason,
        terms: &Terms,
        asked: Option<Duration>,
    ) -> Option<Transition> {
        // Closed => Open
        (self.phase == Phase::Closed && self.generation == generation)
            .then(|| self.open(now, reason, terms, asked))
    }

    /// Whether a probe's outcome would be heard at `now`.
    pub(crate) fn hears(&self, probe: Probe, now: Tick) -> bool {
        self.phase == Phase::HalfOpen && self.probes.is_waited_for(probe, now)
    }

    /// A probe's outcome is known. That of a probe that nobody waits for any more is none, and of one whose deadline
    /// has passed the deadline has told it.
    pub(crate) fn settle(
        &mut self,
        probe: Probe,
        answer: Answer,
        now: Tick,
        terms: &Terms,
        asked: Option<Duration>,
    ) -> Option<Transition> {
        if self.phase != Phase::HalfOpen {
            self.probes.release(probe);
            return None;
        }
        // Where no other call came, nobody has looked at the deadlines yet.
        self.probes.expire(now);
        self.probes.settle(probe, answer);
        self.judge(now, terms, asked)
    }

    /// A probe was cancelled, or its outcome says nothing: another call may go in its place. Unless its deadline has
    /// passed: who waits for longer than that, and then gives up, met an upstream that hangs.
    pub(crate) fn give_back(
        &mut self,
        probe: Probe,
        now: Tick,
        terms: &Terms,
    ) -> Option<Transition> {
        if self.phase != Phase::HalfOpen {
            self.probes.release(probe);
            return None;
        }
        self.probes.expire(now);
        self.probes.release(probe);
        self.judge(now, terms, None)
    }

    /// A probe was not sent after all.
    pub(crate) fn withdraw(&mut self, probe: Probe) {
        self.probes.release(probe);
    }

    /// A probe got an answer that is good so far. Should the rest not come before its deadline, it
    /// counts as a success.
    pub(crate) fn answered(&mut self, probe: Probe, now: Tick) {
        self.probes.answered(probe, now);
    }

    fn judge(&mut self, now: Tick, terms: &Terms, asked: Option<Duration>) -> Option<Transition> {
        if self.probes.failed(&terms.probes) {
            // HalfOpen => Open
            return Some(self.open(now, Reason::ProbesFailed, terms, asked));
        }
        if self.probes.succeeded(&terms.probes) {
            // HalfOpen => Closed
            self.trips = 0;
            return Some(self.enter(Phase::Closed, Reason::ProbesSucceeded));
        }
        None
    }

    fn open(
        &mut self,
        now: Tick,
        reason: Reason,
        terms: &Terms,
        asked: Option<Duration>,
    ) -> Transition {
        self.trips = self.trips.saturating_add(1);
        let span = terms.open_for.nth(self.trips, &terms.random);
        let span = span.max(asked.unwrap_or_default());
        let until = now.saturating_add(span);
        self.enter(Phase::Open { until }, reason)
    }

    /// Any => Disabled
    pub(crate) fn disable(&mut self) -> Option<Transition> {
        self.by_hand(Phase::Disabled)
    }

    /// Any => ForcedOpen
    pub(crate) fn force_open(&mut self) -> Option<Transition> {
        self.by_hand(Phase::ForcedOpen)
    }

    /// Any => MetricsOnly
    pub(crate) fn metrics_only(&mut self) -> Option<Transition> {
        self.by_hand(Phase::MetricsOnly)
    }

    /// Any => Closed
    pub(crate) fn close(&mut self) -> Option<Transition> {
        self.trips = 0;
        self.by_hand(Phase::Closed)
    }

    /// Whether a call would go at `now`, and no probe is waited for that decides about others.
    pub(crate) fn is_at_rest(&self, now: Tick) -> bool {
        match self.phase {
            Phase::Closed => true,
            Phase::Open { until } => until <= now,
            Phase::HalfOpen => self.probes.are_settled(now),
            Phase::Disabled | Phase::ForcedOpen | Phase::MetricsOnly => false,
        }
    }

    /// Any => Closed, for somebody else: what was said of the one before counts no more.
    pub(crate) fn begin_anew(&mut self) -> Option<Transition> {
        self.trips = 0;
        if self.phase == Phase::Closed {
            self.disown();
            return None;
        }
        Some(self.enter(Phase::Closed, Reason::Forgotten))
    }

    fn by_hand(&mut self, phase: Phase) -> Option<Transition> {
        (self.phase != phase).then(|| self.enter(phase, Reason::ByHand))
    }

    /// Begins a new generation without a change of state: what is in flight counts no more.
    pub(crate) fn disown(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    fn enter(&mut self, phase: Phase, reason: Reason) -> Transition {
        let from = self.state();
        self.phase = phase;
        self.disown();
        Transition {
            from,
            to: self.state(),
            reason,
        }
    }
}

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

#[cfg(all(test, not(loom)))]
mod tests;
