use std::{fmt, time::Duration};

use buttress_core::{Digest, Outcome, Park, Tick};

use crate::{
    CallKind, Happening, OnDrop, OnThrottled, Refused, Snapshot, State, Transition, Transitions,
    machine::{Admission, Answer, Machine, Probe},
    settings::Settings,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock},
    transitions::Subscribers,
    trip::{Call, Rule},
};

/// One circuit: the machine behind a lock, and in front of it what lets calls pass without one.
///
/// # What a call costs
///
/// Closed, one load lets it go. Its outcome takes one more load, and what the rule takes: under rates one
/// reading of the clock if they are over time, one atomic addition and a few loads. Nothing is allocated.
/// Open, a refusal takes a reading of the clock, two loads and a count. All else (probes, parks,
/// transitions) takes the lock, which is never held while a call is made.
///
/// # Why that is safe
///
/// `word` says what the machine says, and is written under its lock only. A call that was let go by an old
/// word carries the generation that stood in it; when its outcome comes and the word has another
/// generation, it changes nothing. (Should the circuit open, half open and close again between the reading
/// of the word and the counting, the call counts as one of the new generation: a sample too many in a
/// window, which opens and closes nothing by itself.) Whoever would open the circuit asks the machine, under the lock, whether
/// it still is in that generation.
// In this order: what is needed before and after each call stands in one cache line.
#[repr(C, align(64))]
pub(crate) struct Circuit {
    /// What the machine says: see [`Word`].
    word: AtomicU64,
    /// Until when it is open, in nanoseconds; written before `word`.
    until: AtomicU64,
    /// Until when the upstream asked not to be called.
    park: Park,
    rule: Rule,
    not_permitted: AtomicU64,
    /// Whose it is; 0 and 0 where it is everybody's.
    key: (AtomicU64, AtomicU64),
    inside: Mutex<Inside>,
}

struct Inside {
    machine: Machine,
    /// Whether calls have to look at `park`.
    parked: bool,
    subscribers: Subscribers,
}

/// A state, whether the circuit is parked, and a generation, in one word.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const STATE: u64 = 0b0111;
    const PARKED: u64 = 0b1000;
    const GENERATION: u32 = 4;

    fn of(state: State, parked: bool, generation: u64) -> Self {
        let state = match state {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
            State::Disabled => 3,
            State::ForcedOpen => 4,
            State::MetricsOnly => 5,
        };
        let parked = if parked { Self::PARKED } else { 0 };
        Self((generation << Self::GENERATION) | parked | state)
    }

    /// Whether a call may go without further questions.
    #[inline]
    const fn is_closed_and_free(self) -> bool {
        self.0 & (Self::STATE | Self::PARKED) == 0
    }

    const fn state(self) -> State {
        match self.0 & Self::STATE {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            3 => State::Disabled,
            4 => State::ForcedOpen,
            _ => State::MetricsOnly,
        }
    }

    const fn is_parked(self) -> bool {
        self.0 & Self::PARKED != 0
    }

    #[inline]
    const fn generation(self) -> u64 {
        self.0 >> Self::GENERATION
    }
}

/// What a call carries from its admission to its outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    generation: u64,
    pass: Pass,
    stopwatch: Stopwatch,
}

#[derive(Clone, Copy, Debug)]
enum Pass {
    Watched,
    Unwatched,
    Probe(Probe),
}

#[derive(Clone, Copy, Debug)]
enum Stopwatch {
    Off,
    Running(Tick),
    Stopped(Duration),
}

impl Ticket {
    /// Of a call that nobody watches.
    pub(crate) const fn unwatched() -> Self {
        Self {
            generation: 0,
            pass: Pass::Unwatched,
            stopwatch: Stopwatch::Off,
        }
    }

    pub(crate) const fn is_probe(&self) -> bool {
        matches!(self.pass, Pass::Probe(_))
    }

    pub(crate) const fn is_watched(&self) -> bool {
        !matches!(self.pass, Pass::Unwatched)
    }

    /// Whether its time still runs.
    const fn is_timed(&self) -> bool {
        matches!(self.stopwatch, Stopwatch::Running(_))
    }

    fn took(&self, now: Tick) -> Option<Duration> {
        match self.stopwatch {
            Stopwatch::Off => None,
            Stopwatch::Running(since) => Some(now.saturating_duration_since(since)),
            Stopwatch::Stopped(took) => Some(took),
        }
    }
}

impl Circuit {
    pub(crate) fn closed(settings: &Settings) -> Self {
        Self {
            word: AtomicU64::new(Word::of(State::Closed, false, 0).0),
            until: AtomicU64::new(0),
            park: Park::free(),
            rule: settings.trip.rule(),
            not_permitted: AtomicU64::new(0),
            key: (AtomicU64::new(0), AtomicU64::new(0)),
            inside: Mutex::new(Inside {
                machine: Machine::closed(&settings.terms.probes),
                parked: false,
                subscribers: Subscribers::default(),
            }),
        }
    }

    #[inline]
    fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    pub(crate) fn state(&self) -> State {
        self.word().state()
    }

    // ---- before a call -----------------------------------------------------------------------------

    /// May a call go?
    #[inline]
    pub(crate) fn admit(&self, settings: &Settings) -> Result<Ticket, Refused> {
        let word = self.word();
        if word.is_closed_and_free() {
            Ok(ticket(settings, word.generation(), Pass::Watched))
        } else {
            self.admit_slowly(settings, word)
        }
    }

    #[cold]
    #[inline(never)]
    fn admit_slowly(&self, settings: &Settings, word: Word) -> Result<Ticket, Refused> {
        match word.state() {
            State::Disabled => Ok(Ticket::unwatched()),
            State::MetricsOnly => Ok(ticket(settings, word.generation(), Pass::Watched)),
            State::ForcedOpen => Err(self.refuse(settings, State::ForcedOpen, None)),
            state @ (State::Closed | State::Open | State::HalfOpen) => {
                let now = settings.now();
                match self.time_left(word, now) {
                    Some(left) => Err(self.refuse(settings, state, Some(left))),
                    None => self.admit_locked(settings, now),
                }
            }
        }
    }

    /// For how long it refuses, as far as this can be told without its lock.
    fn time_left(&self, word: Word, now: Tick) -> Option<Duration> {
        let parked = word.is_parked().then(|| self.park.time_left(now)).flatten();
        let open = (word.state() == State::Open).then(|| {
            let until = Tick::from_nanos(self.until.load(Ordering::Acquire));
            until.saturating_duration_since(now)
        });
        let left = parked.unwrap_or_default().max(open.unwrap_or_default());
        (!left.is_zero()).then_some(left)
    }

    fn admit_locked(&self, settings: &Settings, now: Tick) -> Result<Ticket, Refused> {
        let mut inside = lock(&self.inside);
        if inside.parked {
            match self.park.time_left(now) {
                Some(left) => {
                    let state = inside.machine.state();
                    drop(inside);
                    return Err(self.refuse(settings, state, Some(left)));
                }
                None => inside.parked = false,
            }
        }
        let (admission, moved) = inside.machine.admit(now, &settings.terms);
        let (generation, state) = (inside.machine.generation(), inside.machine.state());
        self.settled(settings, inside, None, moved);
        match admission {
            Admission::Watched => Ok(ticket(settings, generation, Pass::Watched)),
            Admission::Unwatched => Ok(Ticket::unwatched()),
            Admission::Probe(probe) => Ok(ticket(settings, generation, Pass::Probe(probe))),
            Admission::Refused(left) => Err(self.refuse(settings, state, left)),
        }
    }

    fn refuse(&self, settings: &Settings, state: State, left: Option<Duration>) -> Refused {
        self.not_permitted.fetch_add(1, Ordering::Relaxed);
        let refused = Refused::by(state, left);
        self.observe(settings, || Happening::NotPermitted(refused));
        refused
    }

    // ---- after a call ------------------------------------------------------------------------------

    /// A call got an answer that is good so far: its time is taken, a probe has not failed.
    pub(crate) fn answered(&self, settings: &Settings, ticket: &mut Ticket) {
        if let Stopwatch::Running(since) = ticket.stopwatch {
            let took = settings.now().saturating_duration_since(since);
            ticket.stopwatch = Stopwatch::Stopped(took);
        }
        if let Pass::Probe(probe) = ticket.pass {
            lock(&self.inside).machine.answered(probe);
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
                // Should this open the circuit, it stays open at least that long.
                self.park
                    .park(settings.now().saturating_add(settings.wait(retry_after)));
                self.count(settings, ticket, true, CallKind::Throttled);
            }
            OnThrottled::Park => {
                self.give_back(settings, ticket, CallKind::Throttled);
                self.park(settings, ticket, settings.wait(retry_after));
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
        let in_time = inside.machine.generation() == ticket.generation;
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
    fn trip(&self, settings: &Settings, generation: u64, reason: crate::Reason) {
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
        if let Pass::Probe(probe) = ticket.pass {
            lock(&self.inside).machine.give_back(probe);
        }
        if ticket.is_watched() {
            self.observe(settings, || {
                let took = ticket.is_timed().then(|| ticket.took(settings.now()));
                let took = took.flatten().or(ticket.took(Tick::ZERO));
                Happening::Call {
                    kind,
                    slow: is_slow(settings, took),
                    took,
                }
            });
        }
    }

    /// The upstream asked a call not to be called for so long.
    fn park(&self, settings: &Settings, ticket: Ticket, wait: Duration) {
        let now = settings.now();
        let mut inside = lock(&self.inside);
        let in_time = inside.machine.generation() == ticket.generation && ticket.is_watched();
        let heeds = matches!(
            inside.machine.state(),
            State::Closed | State::Open | State::HalfOpen
        );
        if in_time && heeds {
            let news = self.park.park(now.saturating_add(wait));
            inside.parked = true;
            self.publish(&inside);
            drop(inside);
            if news {
                self.observe(settings, || Happening::Parked(wait));
            }
        }
    }

    // ---- by hand -----------------------------------------------------------------------------------

    /// Turns a switch, unless the circuit was given to another than `key` meanwhile.
    pub(crate) fn by_hand(
        &self,
        settings: &Settings,
        key: Option<Digest>,
        change: impl FnOnce(&mut Machine) -> Option<Transition>,
    ) -> bool {
        let mut inside = lock(&self.inside);
        if self.key() != key {
            return false;
        }
        let moved = change(&mut inside.machine);
        if inside.machine.state() == State::Closed {
            // Who closes it by hand wants calls to go.
            inside.parked = false;
            self.park.clear();
            if moved.is_none() {
                inside.machine.disown();
                self.rule.reset();
            }
        }
        self.settled(settings, inside, None, moved);
        true
    }

    // ---- in a table --------------------------------------------------------------------------------

    /// Takes back what [`admit`](Self::admit) let go, as if nobody had asked.
    #[cold]
    pub(crate) fn withdraw(&self, ticket: &Ticket) {
        if let Pass::Probe(probe) = ticket.pass {
            lock(&self.inside).machine.give_back(probe);
        }
    }

    pub(crate) fn belongs_to(&self, key: Digest) {
        self.key.0.store(key.high(), Ordering::Relaxed);
        self.key.1.store(key.low(), Ordering::Relaxed);
    }

    /// Begins anew as the circuit of `key`, if it is closed and not parked. `rename` is called before anybody
    /// can see that.
    pub(crate) fn give_to(&self, settings: &Settings, key: Digest, rename: impl FnOnce()) -> bool {
        let mut inside = lock(&self.inside);
        let parked = inside.parked && self.park.time_left(settings.now()).is_some();
        if inside.machine.state() != State::Closed || parked {
            return false;
        }
        inside.parked = false;
        inside.subscribers = Subscribers::default();
        inside.machine.disown();
        self.park.clear();
        self.rule.reset();
        self.not_permitted.store(0, Ordering::Relaxed);
        self.belongs_to(key);
        rename();
        self.publish(&inside);
        true
    }

    fn key(&self) -> Option<Digest> {
        let high = u128::from(self.key.0.load(Ordering::Relaxed));
        let low = u128::from(self.key.1.load(Ordering::Relaxed));
        (high | low != 0).then(|| Digest::from_u128((high << 64) | low))
    }

    pub(crate) fn subscribe(&self) -> Transitions {
        lock(&self.inside).subscribers.subscribe()
    }

    pub(crate) fn snapshot(&self, settings: &Settings) -> Snapshot {
        let now = settings.now();
        let inside = lock(&self.inside);
        let state = inside.machine.state();
        let counts = self.rule.counts(now);
        let parked = inside.parked.then(|| self.park.time_left(now)).flatten();
        let open = inside.machine.open_until().saturating_duration_since(now);
        let left = parked.unwrap_or_default().max(open);
        Snapshot {
            state,
            calls: counts.calls,
            failures: counts.failures,
            slow_calls: counts.slow,
            retry_after: (!left.is_zero()).then_some(left),
            parked,
            trips: inside.machine.trips(),
            probes_in_flight: inside.machine.probes_in_flight(),
            not_permitted_calls: self.not_permitted.load(Ordering::Relaxed),
        }
    }

    // ---- what the others are made of ---------------------------------------------------------------

    /// Tells the front what the machine says.
    fn publish(&self, inside: &Inside) {
        let machine = &inside.machine;
        let until = machine.open_until().as_nanos();
        self.until.store(until, Ordering::Release);
        let word = Word::of(machine.state(), inside.parked, machine.generation());
        self.word.store(word.0, Ordering::Release);
    }

    /// Ends a change: publishes it, unlocks, and tells those who asked to be told.
    fn settled(
        &self,
        settings: &Settings,
        inside: MutexGuard<'_, Inside>,
        ended: Option<Happening>,
        moved: Option<Transition>,
    ) {
        if let Some(transition) = moved {
            if transition.to == State::Closed {
                // Calls may go as soon as it is published.
                self.rule.reset();
            }
            // Under the lock, so that they hear of all changes in their order.
            inside.subscribers.tell(transition);
        }
        self.publish(&inside);
        drop(inside);
        // Not under the lock: an observer may ask the circuit something.
        let moved = moved.map(Happening::Transition);
        for happening in ended.into_iter().chain(moved) {
            self.observe(settings, || happening);
        }
    }

    #[inline]
    fn observe(&self, settings: &Settings, happening: impl FnOnce() -> Happening) {
        settings.observe(|| self.key(), happening);
    }
}

#[inline]
fn ticket(settings: &Settings, generation: u64, pass: Pass) -> Ticket {
    Ticket {
        generation,
        pass,
        // Without a slow-call rule nobody asks when a call began.
        stopwatch: match settings.slow_after {
            Some(_) => Stopwatch::Running(settings.now()),
            None => Stopwatch::Off,
        },
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

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("state", &self.state())
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod interleavings;
