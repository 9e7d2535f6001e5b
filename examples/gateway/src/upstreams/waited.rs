use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use buttress_core::{Clock as _, clock::TokioClock};

/// For how long the client was waited for, in nanoseconds.
#[derive(Debug)]
pub(super) struct Waited {
    clock: TokioClock,
    before: AtomicU64,
    /// Since when it is, plus one; zero where it is not.
    since: AtomicU64,
}

impl Waited {
    pub(super) fn not_yet() -> Self {
        Self {
            clock: TokioClock::starting_now(),
            before: AtomicU64::new(0),
            since: AtomicU64::new(0),
        }
    }

    /// It is waited for, or not. Nobody but the body says so.
    pub(super) fn is(&self, waits: bool) {
        let since = self.since.load(Ordering::Relaxed);
        match (waits, since.checked_sub(1)) {
            (true, None) => {
                let now = self.clock.now().as_nanos();
                self.since.store(now.saturating_add(1), Ordering::Relaxed);
            }
            (false, Some(since)) => {
                let waited = self.clock.now().as_nanos().saturating_sub(since);
                self.before.fetch_add(waited, Ordering::Relaxed);
                self.since.store(0, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    pub(super) fn until_now(&self) -> Duration {
        let since = self.since.load(Ordering::Relaxed).checked_sub(1);
        let present = since.map_or(0, |since| self.clock.now().as_nanos().saturating_sub(since));
        Duration::from_nanos(self.before.load(Ordering::Relaxed).saturating_add(present))
    }
}
