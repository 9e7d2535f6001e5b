use std::{fmt, sync::Arc, time::Duration};

use buttress_core::{Clock as _, Digest, Observer, Random, Sleep, Tick, clock::AnyClock};

use crate::{
    Backoff, Budget, Ended, Event, Happening, Judgment, Report, RetryDecision,
    decide::{Gate, Situation, Terms, decide, gate, time_left},
    parks::{Lift, Parks},
    progress::Progress,
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

/// Why a call may not go.
pub(crate) enum Hold {
    /// At that time, or when the park is lifted by hand.
    Wait(Tick, Lift),
    /// Parked for so long.
    Refuse(Duration),
}

/// What is to be done after an attempt.
pub(crate) struct After {
    pub(crate) decision: RetryDecision,
    /// When that was decided.
    pub(crate) now: Tick,
    /// Where the wait is one that the upstream asked everybody for: when that is lifted by hand.
    pub(crate) lift: Option<Lift>,
}

impl Settings {
    #[inline]
    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// For how long calls for the key are held back.
    pub(crate) fn parked(&self, key: impl FnOnce() -> Digest) -> Option<Duration> {
        let now = self.now();
        let parks = self.parks.as_ref().filter(|parks| parks.any(now))?;
        parks.time_left(key(), now)
    }

    pub(crate) fn unpark(&self, key: impl FnOnce() -> Digest) {
        if let Some(parks) = &self.parks {
            parks.clear(key());
        }
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

    /// Until when the attempt that begins now may take, if there is a limit.
    #[inline]
    pub(crate) fn limit(&self, progress: &Progress, now: Tick) -> Option<Tick> {
        let timeout = self.attempt_timeout;
        let until = timeout.map(|timeout| now.saturating_add(timeout));
        match (until, progress.deadline) {
            (Some(until), Some(deadline)) => Some(until.min(deadline)),
            (until, deadline) => until.or(deadline),
        }
    }

    /// An attempt is made.
    #[inline]
    pub(crate) fn attempt(&self, progress: &mut Progress, now: Tick) {
        progress.attempts = progress.attempts.saturating_add(1);
        progress.granted = None;
        if progress.attempts == 1 {
            self.called(now);
        }
    }

    /// The budget need not pay for a retry that was granted, if it was not made.
    pub(crate) fn not_made(&self, progress: &mut Progress) {
        if let Some(granted) = progress.granted.take() {
            self.budget.refund(granted);
        }
    }

    /// Whether somebody may be parked.
    #[inline]
    pub(crate) fn is_anybody_parked(&self, now: Tick) -> bool {
        self.parks.as_ref().is_some_and(|parks| parks.any(now))
    }

    /// Whether a call for the key may not go. The key is not asked for while nobody is parked.
    #[inline]
    pub(crate) fn hold(
        &self,
        progress: &mut Progress,
        now: Tick,
        key: impl FnOnce() -> Digest,
    ) -> Option<Hold> {
        let parks = self.parks.as_ref().filter(|parks| parks.any(now))?;
        self.hold_before(parks, progress, now, key())
    }

    #[cold]
    fn hold_before(
        &self,
        parks: &Parks,
        progress: &mut Progress,
        now: Tick,
        key: Digest,
    ) -> Option<Hold> {
        let parked = parks.time_left(key, now)?;
        let since = *progress.parked_since.get_or_insert(now);
        let waited = now.saturating_duration_since(since);
        let left = time_left(progress.deadline, now);
        match gate(&self.terms, parked, waited, left, &self.random) {
            Gate::Wait(wait) => {
                self.observe(|| Happening::Held { key, wait });
                // If there is none any more, it was lifted between the two.
                let lift = parks.lift(key)?;
                Some(Hold::Wait(now.saturating_add(wait), lift))
            }
            Gate::Refuse => Some(Hold::Refuse(parked)),
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

    /// What to do after an attempt of which it is known how it ended. `since` is from when what it told counts, if
    /// that is not now.
    pub(crate) fn after(
        &self,
        progress: &mut Progress,
        judgment: Judgment,
        since: Option<Tick>,
        (safe, replayable): (bool, bool),
        key: impl FnOnce() -> Digest,
    ) -> After {
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
            since: since.unwrap_or(now),
            deadline: progress.deadline,
            backoff,
        };
        let mut parked = None;
        if let (Some(parks), Some(span)) = (&self.parks, situation.park(&self.terms)) {
            let key = key();
            if parks.park(key, now, now.saturating_add(span)) {
                self.observe(|| Happening::Parked { key, span });
            }
            parked = Some((parks, key));
        }
        let mut granted = None;
        let decision = decide(&self.terms, &situation, &self.random, || {
            granted = self.budget.grant(self.budget_on_our_clock.then_some(now));
            granted.is_some()
        });
        if granted.is_some() {
            progress.backoff = Some(backoff);
            progress.granted = granted;
        }
        // Only who comes back has to hear of it.
        let lift = granted.and(parked).and_then(|(parks, key)| parks.lift(key));
        After {
            decision,
            now,
            lift,
        }
    }

    /// There will be another attempt after the last one.
    #[inline]
    pub(crate) fn retries(&self, progress: &Progress, after: Duration, judgment: Judgment) {
        let attempt = progress.attempts;
        self.observe(|| Happening::Retry {
            attempt,
            after,
            judgment,
        });
    }

    /// A call is over. The report is made where somebody wants it.
    pub(crate) fn over(&self, progress: &Progress, ended: Ended) -> impl Fn() -> Report {
        let report = move || {
            let elapsed = self.now().saturating_duration_since(progress.started);
            Report::new(progress.attempts, elapsed, ended)
        };
        self.observe(|| Happening::Call(report()));
        report
    }

    /// Whether the attempt that comes next is the last one.
    pub(crate) fn is_last(&self, progress: &Progress) -> bool {
        progress.attempts + 1 >= self.terms.max_attempts
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
