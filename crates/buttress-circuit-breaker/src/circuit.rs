mod settle;
mod ticket;
mod word;

use std::{fmt, time::Duration};

use buttress_core::{Digest, Park, Tick};

pub(crate) use self::ticket::Ticket;
use self::{ticket::Pass, word::Word};
use crate::{
    Happening, Refused, Snapshot, State, Transition, Transitions,
    machine::{Admission, Machine},
    settings::Settings,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock},
    transitions::Subscribers,
    trip::Rule,
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
    /// What the machine says: a [`Word`].
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

/// A circuit as it was before another key got it.
pub(crate) struct Forgotten {
    before: Option<Digest>,
    moved: Option<Transition>,
}

impl Forgotten {
    /// Tells the observer of it, if it was not closed: not under any lock.
    pub(crate) fn tell(self, settings: &Settings) {
        if let Some(moved) = self.moved {
            settings.observe(|| self.before, || Happening::Transition(moved));
        }
    }
}

struct Inside {
    machine: Machine,
    /// Whether calls have to look at `park`.
    parked: bool,
    subscribers: Subscribers,
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
            Ok(Ticket::of(settings, word.generation(), Pass::Watched))
        } else {
            self.admit_slowly(settings, word)
        }
    }

    #[cold]
    #[inline(never)]
    fn admit_slowly(&self, settings: &Settings, word: Word) -> Result<Ticket, Refused> {
        match word.state() {
            State::Disabled => Ok(Ticket::unwatched()),
            State::MetricsOnly => Ok(Ticket::of(settings, word.generation(), Pass::Watched)),
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
            Admission::Watched => Ok(Ticket::of(settings, generation, Pass::Watched)),
            Admission::Unwatched => Ok(Ticket::unwatched()),
            Admission::Probe(probe) => Ok(Ticket::of(settings, generation, Pass::Probe(probe))),
            Admission::Refused(left) => Err(self.refuse(settings, state, left)),
        }
    }

    fn refuse(&self, settings: &Settings, state: State, left: Option<Duration>) -> Refused {
        self.not_permitted.fetch_add(1, Ordering::Relaxed);
        let refused = Refused::by(state, left);
        self.observe(settings, || Happening::NotPermitted(refused));
        refused
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
            lock(&self.inside).machine.withdraw(probe);
        }
    }

    pub(crate) fn belongs_to(&self, key: Digest) {
        self.key.0.store(key.high(), Ordering::Relaxed);
        self.key.1.store(key.low(), Ordering::Relaxed);
    }

    /// Begins anew as the circuit of `key`, if it is closed and not parked; or, where those are `also_due` whose time to
    /// be open is over, if the next call would go. `rename` is called before anybody can see that. Returns what became of
    /// the circuit of the key before.
    pub(crate) fn give_to(
        &self,
        settings: &Settings,
        key: Digest,
        also_due: bool,
        rename: impl FnOnce(),
    ) -> Option<Forgotten> {
        let mut inside = lock(&self.inside);
        let is_closed = inside.machine.state() == State::Closed;
        if !is_closed && !also_due {
            return None;
        }
        let now = settings.now();
        let parked = inside.parked && self.park.time_left(now).is_some();
        if parked || !inside.machine.is_at_rest(now) {
            return None;
        }
        let before = self.key();
        let moved = inside.machine.begin_anew();
        inside.parked = false;
        inside.subscribers = Subscribers::default();
        self.park.clear();
        self.rule.reset();
        self.not_permitted.store(0, Ordering::Relaxed);
        self.belongs_to(key);
        rename();
        self.publish(&inside);
        Some(Forgotten { before, moved })
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
