use std::time::Duration;

use crate::State;

/// How a circuit stands.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its state. An open circuit stays open until the first call after its time.
    pub state: State,
    /// The calls in the window. Under [`Trip::consecutive_failures`](crate::Trip::consecutive_failures)
    /// the failures in a row; under a rule of your own always 0.
    pub calls: u64,
    /// How many of them failed.
    pub failures: u64,
    /// How many of them were slow.
    pub slow_calls: u64,
    /// For how long calls will be refused from now on, if anybody knows.
    pub retry_after: Option<Duration>,
    /// For how long the upstream asked not to be called.
    pub parked: Option<Duration>,
    /// How often it opened since it was last closed.
    pub trips: u32,
    /// The probes that are out.
    pub probes_in_flight: usize,
    /// How many calls were refused since the circuit was made.
    pub not_permitted_calls: u64,
}

impl Snapshot {
    /// The share of calls that failed, from 0.0 to 1.0; 0.0 where there were none.
    #[must_use]
    pub fn failure_rate(&self) -> f64 {
        share(self.failures, self.calls)
    }

    /// The share of calls that were slow, from 0.0 to 1.0; 0.0 where there were none.
    #[must_use]
    pub fn slow_call_rate(&self) -> f64 {
        share(self.slow_calls, self.calls)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
