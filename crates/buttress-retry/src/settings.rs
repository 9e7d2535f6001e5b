use std::{fmt, sync::Arc, time::Duration};

use buttress_core::{Clock as _, Digest, Observer, Random, Sleep, Tick, clock::AnyClock};

use crate::{
    Backoff, Budget, Ended, Event, Happening, Judgment, Report, Verdict,
    decide::{Gate, Situation, Terms, decide, gate, time_left},
    parks::Parks,
};

/// What all calls of a policy share.
pub(crate) struct Settings {
    pub(crate) name: Arc<str>,
    pub(crate) terms: Terms,
    pub(crate) backoff: Arc<dyn Backoff>,
    pub(crate) budget: Budget,
    /// Whether the budget's clock is this policy's: then it is read once for both.
    pub(crate) budget_on_our_clock: bool,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) total_timeout: Option<Duration>,
    pub(crate) parks: Option<Parks>,
    pub(crate) tell_always: bool,
    pub(crate) clock: AnyClock,
    pub(crate) timer: Arc<dyn Sleep>,
    pub(crate) random: Random,
    pub(crate) observer: Option<Arc<dyn for<'a> Observer<Event<'a>>>>,
}

/// How far one call has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) started: Tick,
    pub(crate) deadline: Option<Tick>,
    /// Made so far.
    pub(crate) attempts: u32,
    /// The last backoff that was drawn.
    backoff: Option<Duration>,
    /// Since when the call stands before a parked upstream.
    parked_since: Option<Tick>,
}

impl Progress {
    #[inline]
    pub(crate) fn starting(now: Tick) -> Self {
        Self {
            started: now,
            deadline: None,
            attempts: 0,
            backoff: None,
            parked_since: None,
        }
    }

    #[inline]
    pub(crate) fn within(&mut self, timeout: Option<Duration>) {
        if let Some(timeout) = timeout {
            let deadline = self.started.saturating_add(timeout);
            self.deadline = Some(self.deadline.map_or(deadline, |other| other.min(deadline)));
        }
    }

    pub(crate) fn time_left(&self, now: Tick) -> Option<Duration> {
        self.deadline.map(|_| time_left(self.deadline, now))
    }
}

/// Whether a call may go.
pub(crate) enum Passage {
    Go,
    Wait(Duration),
    /// Parked for so long.
    Refuse(Duration),
}

impl Settings {
    #[inline]
    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// A call begins.
    #[inline]
    pub(crate) fn begin(&self) -> Progress {
        let now = self.now();
        let mut progress = Progress::starting(now);
        progress.within(self.total_timeout);
        progress
    }

    /// The first attempt of a call is made. One that is refused before a parked upstream earns no retries, for the
    /// upstream would have to bear them.
    #[inline]
    pub(crate) fn called(&self, now: Tick) {
        if self.budget_on_our_clock {
            self.budget.called_at(now);
        } else {
            self.budget.called();
        }
    }

    /// How long the next attempt may take, if there is a limit.
    #[inline]
    pub(crate) fn limit(
        &self,
        progress: &Progress,
        now: impl FnOnce() -> Tick,
    ) -> Option<Duration> {
        match (self.attempt_timeout, progress.deadline) {
            (None, None) => None,
            (timeout, None) => timeout,
            (timeout, deadline) => {
                let left = time_left(deadline, now());
                Some(timeout.map_or(left, |timeout| timeout.min(left)))
            }
        }
    }

    /// May a call for the key go? The key is not asked for while nobody is parked.
    #[inline]
    pub(crate) fn passage(
        &self,
        progress: &mut Progress,
        now: Tick,
        key: impl FnOnce() -> Digest,
    ) -> Passage {
        match &self.parks {
            Some(parks) if parks.any(now) => self.passage_past(parks, progress, now, key()),
            _ => Passage::Go,
        }
    }

    #[cold]
    fn passage_past(
        &self,
        parks: &Parks,
        progress: &mut Progress,
        now: Tick,
        key: Digest,
    ) -> Passage {
        let Some(parked) = parks.time_left(key, now) else {
            return Passage::Go;
        };
        let since = *progress.parked_since.get_or_insert(now);
        let waited = now.saturating_duration_since(since);
        let left = time_left(progress.deadline, now);
        match gate(&self.terms, parked, waited, left, &self.random) {
            Gate::Wait(wait) => {
                self.observe(|| Happening::Held { wait });
                Passage::Wait(wait)
            }
            Gate::Refuse => Passage::Refuse(parked),
        }
    }

    /// The budget hears how an attempt ended, unless it was refused on this side: that says nothing of the upstream.
    pub(crate) fn heard(&self, judgment: Judgment) {
        if judgment == Judgment::Success {
            self.budget.succeeded();
        }
        // gRPC's throttling counts a server that wants no retry as a failure, too.
        if judgment.is_retryable() || judgment == Judgment::GiveUp {
            self.budget.failed();
        }
    }

    /// What to do after an attempt of which it is known how it ended.
    pub(crate) fn after(
        &self,
        progress: &mut Progress,
        judgment: Judgment,
        (safe, replayable): (bool, bool),
        key: impl FnOnce() -> Digest,
    ) -> Verdict {
        let now = self.now();
        progress.parked_since = None;
        // A closure may have waits for the retries that there can be, and no others.
        let backoff = if judgment.is_retryable() && progress.attempts < self.terms.max_attempts {
            self.backoff
                .delay(progress.attempts, progress.backoff, &self.random)
        } else {
            progress.backoff.unwrap_or_default()
        };
        let situation = Situation {
            attempts: progress.attempts,
            judgment,
            safe,
            replayable,
            now,
            deadline: progress.deadline,
            backoff,
        };
        if let (Some(parks), Some(span)) = (&self.parks, situation.park(&self.terms))
            && parks.park(key(), now, now.saturating_add(span))
        {
            self.observe(|| Happening::Parked { span });
        }
        let verdict = decide(&self.terms, &situation, &self.random, || {
            self.budget.try_retry()
        });
        if let Verdict::Retry { after } = verdict {
            progress.backoff = Some(backoff);
            let attempt = progress.attempts;
            self.observe(|| Happening::Retry {
                attempt,
                after,
                judgment,
            });
        }
        verdict
    }

    /// A call is over: what is told of it.
    pub(crate) fn report(&self, progress: &Progress, ended: Ended) -> Report {
        let elapsed = self.now().saturating_duration_since(progress.started);
        let report = Report::new(progress.attempts, elapsed, ended);
        self.observe(|| Happening::Call(report));
        report
    }

    /// Whether anybody wants to hear of a call that succeeded at once.
    #[inline]
    pub(crate) fn is_listened_to(&self) -> bool {
        self.tell_always || self.observer.is_some()
    }

    #[inline]
    pub(crate) fn observe(&self, happening: impl FnOnce() -> Happening) {
        if let Some(observer) = &self.observer {
            tell(&**observer, &self.name, happening());
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("terms", &self.terms)
            .field("budget", &self.budget)
            .field("parks", &self.parks)
            .finish_non_exhaustive()
    }
}

#[cold]
fn tell(observer: &dyn for<'a> Observer<Event<'a>>, name: &str, happening: Happening) {
    observer.observe(&Event { name, happening });
}
