use std::time::Duration;

use buttress_core::Tick;

use crate::{machine::Probe, settings::Settings};

/// What a call carries from its admission to its outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(super) generation: u64,
    pub(super) pass: Pass,
    pub(super) stopwatch: Stopwatch,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Pass {
    Watched,
    Unwatched,
    Probe(Probe),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Stopwatch {
    Off,
    Running(Tick),
    Stopped(Duration),
}

impl Ticket {
    /// Of a call that is let go now.
    #[inline]
    pub(super) fn of(settings: &Settings, generation: u64, pass: Pass) -> Self {
        Self {
            generation,
            pass,
            // Without a slow-call rule nobody asks when a call began.
            stopwatch: match settings.slow_after {
                Some(_) => Stopwatch::Running(settings.now()),
                None => Stopwatch::Off,
            },
        }
    }

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
    pub(crate) const fn is_timed(&self) -> bool {
        matches!(self.stopwatch, Stopwatch::Running(_))
    }

    /// So much of its time is not the upstream's.
    pub(crate) fn waited(&mut self, span: Duration) {
        if let Stopwatch::Running(since) = &mut self.stopwatch {
            *since = since.saturating_add(span);
        }
    }

    pub(super) fn took(&self, now: Tick) -> Option<Duration> {
        match self.stopwatch {
            Stopwatch::Off => None,
            Stopwatch::Running(since) => Some(now.saturating_duration_since(since)),
            Stopwatch::Stopped(took) => Some(took),
        }
    }
}
