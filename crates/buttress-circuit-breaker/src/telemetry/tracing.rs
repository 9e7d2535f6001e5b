use buttress_core::Observer;
use tracing::{debug, info, trace, warn};

use crate::{Event, Happening, State};

/// Writes what happened to the log.
///
/// | event | level |
/// |---|---|
/// | a circuit opened | `WARN`: an upstream is cut off |
/// | any other change of state, an upstream that asked not to be called | `INFO` |
/// | a call was refused, a key found no room | `DEBUG`: while a circuit is open there are many |
/// | a call ended | `TRACE` |
///
/// Keys are written as the digests that they are, which tell nothing of the key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracing;

impl Observer<Event<'_>> for Tracing {
    fn observe(&self, event: &Event<'_>) {
        let Event { name, key, .. } = *event;
        let key = key.map(tracing::field::debug);
        match event.happening {
            Happening::Call { kind, slow, took } => {
                trace!(name, key, %kind, slow, ?took, "a call ended");
            }
            Happening::NotPermitted(refused) => {
                debug!(name, key, state = %refused.state(), retry_after = ?refused.retry_after(), "not permitted");
            }
            Happening::Transition(transition) if transition.to == State::Open => {
                warn!(name, key, from = %transition.from, reason = %transition.reason, "the circuit opened");
            }
            Happening::Transition(transition) => {
                info!(name, key, from = %transition.from, to = %transition.to, reason = %transition.reason, "the circuit changed its state");
            }
            Happening::Parked(time) => {
                info!(name, key, ?time, "the upstream asked not to be called");
            }
            Happening::NoRoom => debug!(name, key, "no room for a circuit: its calls go unwatched"),
        }
    }
}

#[cfg(test)]
mod tests {
    use buttress_core::{Outcome, clock::ManualClock};
    use tracing::Level;

    use super::*;
    use crate::{CircuitBreakers, Trip, telemetry::logged::logged};

    #[test]
    fn a_trip_is_loud_and_refusals_are_quiet() {
        let log = logged(|| {
            let circuits = CircuitBreakers::per_key(Trip::consecutive_failures(1))
                .name("upstreams")
                .clock(ManualClock::default())
                .observer(Tracing)
                .build()
                .unwrap();
            let key = "an-upstream-and-its-secret";
            circuits.try_acquire(key).unwrap().record(Outcome::Failure);
            assert!(circuits.try_acquire(key).is_err());
            assert!(circuits.close(key));
        });
        let of = |level, text: &str| {
            let fits = |(at, fields): &&(Level, String)| *at == level && fields.contains(text);
            log.iter().filter(fits).count()
        };
        assert_eq!(of(Level::WARN, "consecutive_failures"), 1, "{log:?}");
        assert_eq!(of(Level::INFO, "by_hand"), 1, "{log:?}");
        assert_eq!(of(Level::DEBUG, "retry_after"), 1, "{log:?}");
        assert_eq!(of(Level::TRACE, "failed"), 1, "{log:?}");
        assert_eq!(log.len(), 4);
        assert!(!log.iter().any(|(_, fields)| fields.contains("secret")));
    }
}
