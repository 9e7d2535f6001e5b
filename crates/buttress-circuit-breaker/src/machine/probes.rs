use std::time::Duration;

use buttress_core::Tick;

use super::Answer;

/// How many probes there are, how long each may take, and how bad they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProbeTerms {
    /// How many decide.
    pub(crate) count: u32,
    /// How long each of them may take.
    pub(crate) deadline: Duration,
    /// So many failures open the circuit again.
    pub(crate) failures: u32,
    /// So many slow calls do.
    pub(crate) slow: u32,
}

/// A probe that was sent. No two of a circuit have the same serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    place: u32,
    serial: u64,
}

/// The probes of one half-open time. There are never more in flight than places.
#[derive(Debug)]
pub(super) struct Probes {
    places: Box<[Place]>,
    sent: u64,
    settled: u32,
    failures: u32,
    slow: u32,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Free,
    Out {
        serial: u64,
        deadline: Tick,
        answered: bool,
    },
    Settled,
}

impl Place {
    fn holds(&self, probe: Probe) -> bool {
        matches!(self, Self::Out { serial, .. } if *serial == probe.serial)
    }

    /// What the deadline of a probe says, once it has passed: a failure where no answer came, since an upstream that
    /// hangs is the commonest kind of one that is down.
    fn overdue(&self, now: Tick) -> Option<Answer> {
        match *self {
            Self::Out {
                deadline, answered, ..
            } if deadline <= now => Some(Answer {
                failed: !answered,
                slow: false,
            }),
            _ => None,
        }
    }
}

impl Probes {
    pub(super) fn with_room_for(terms: &ProbeTerms) -> Self {
        Self {
            places: (0..terms.count).map(|_| Place::Free).collect(),
            sent: 0,
            settled: 0,
            failures: 0,
            slow: 0,
        }
    }

    /// A new half-open time begins. Serial numbers go on, so that a probe of the last one is known as such.
    pub(super) fn forget(&mut self) {
        self.places.fill(Place::Free);
        (self.settled, self.failures, self.slow) = (0, 0, 0);
    }

    pub(super) fn send(&mut self, now: Tick, terms: &ProbeTerms) -> Option<Probe> {
        let (n, place) = self
            .places
            .iter_mut()
            .enumerate()
            .find(|(_, place)| matches!(place, Place::Free))?;
        self.sent += 1;
        *place = Place::Out {
            serial: self.sent,
            deadline: now.saturating_add(terms.deadline),
            answered: false,
        };
        Some(Probe {
            place: u32::try_from(n).unwrap_or(u32::MAX),
            serial: self.sent,
        })
    }

    /// The place of a probe that is still waited for.
    fn place_of(&mut self, probe: Probe) -> Option<&mut Place> {
        let place = self.places.get_mut(probe.place as usize)?;
        place.holds(probe).then_some(place)
    }

    /// Whether a probe is still waited for: its deadline may have passed without anybody looking.
    pub(super) fn is_waited_for(&self, probe: Probe, now: Tick) -> bool {
        let place = self.places.get(probe.place as usize);
        place.is_some_and(|place| place.holds(probe) && place.overdue(now).is_none())
    }

    /// Counts a probe's answer. That of one that nobody waits for any more is none.
    pub(super) fn settle(&mut self, probe: Probe, answer: Answer) {
        if let Some(place) = self.place_of(probe) {
            *place = Place::Settled;
            self.count(answer);
        }
    }

    fn count(&mut self, answer: Answer) {
        self.settled += 1;
        self.failures += u32::from(answer.failed);
        self.slow += u32::from(answer.slow);
    }

    /// Leaves a probe's place to another.
    pub(super) fn release(&mut self, probe: Probe) {
        if let Some(place) = self.place_of(probe) {
            *place = Place::Free;
        }
    }

    pub(super) fn answered(&mut self, probe: Probe, now: Tick) {
        if let Some(place) = self.place_of(probe)
            && place.overdue(now).is_none()
            && let Place::Out { answered, .. } = place
        {
            *answered = true;
        }
    }

    /// Settles what is past its deadline.
    pub(super) fn expire(&mut self, now: Tick) {
        for n in 0..self.places.len() {
            let Some(place) = self.places.get_mut(n) else {
                return;
            };
            if let Some(answer) = place.overdue(now) {
                *place = Place::Settled;
                self.count(answer);
            }
        }
    }

    /// Whether they were too bad, whatever those say that are still out.
    pub(super) fn failed(&self, terms: &ProbeTerms) -> bool {
        self.failures >= terms.failures || self.slow >= terms.slow
    }

    /// Whether they were good enough, whatever those say that are still out.
    pub(super) fn succeeded(&self, terms: &ProbeTerms) -> bool {
        let out = terms.count.saturating_sub(self.settled);
        self.failures.saturating_add(out) < terms.failures
            && self.slow.saturating_add(out) < terms.slow
    }

    /// Whether none is waited for any more.
    pub(super) fn are_settled(&self, now: Tick) -> bool {
        self.places.iter().all(|place| match place {
            Place::Out { .. } => place.overdue(now).is_some(),
            Place::Free | Place::Settled => true,
        })
    }

    pub(super) fn in_flight(&self) -> usize {
        self.places
            .iter()
            .filter(|place| matches!(place, Place::Out { .. }))
            .count()
    }

    pub(super) fn first_deadline(&self) -> Option<Tick> {
        let deadlines = self.places.iter().filter_map(|place| match place {
            Place::Out { deadline, .. } => Some(*deadline),
            Place::Free | Place::Settled => None,
        });
        deadlines.min()
    }
}
