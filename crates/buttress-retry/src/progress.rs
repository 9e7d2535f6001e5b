use std::time::Duration;

use buttress_core::Tick;

use crate::decide::time_left;

/// How far one call has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) started: Tick,
    pub(crate) deadline: Option<Tick>,
    /// Made so far.
    pub(crate) attempts: u32,
    /// The last backoff that was drawn.
    pub(crate) backoff: Option<Duration>,
    /// Since when the call stands before a parked upstream.
    pub(crate) parked_since: Option<Tick>,
    /// When a retry was granted that has not been made yet, on the budget's clock.
    pub(crate) granted: Option<Tick>,
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
            granted: None,
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

    pub(crate) fn is_over(&self, now: Tick) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}
