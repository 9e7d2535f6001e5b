use std::sync::Arc;

use buttress_circuit_breaker::{Event, Happening, State};
use buttress_core::Observer;

use crate::call::{Call, Decision};

/// Writes what an upstream's circuit refuses into the record of the call.
#[derive(Debug)]
pub(super) struct Noted(pub(super) Arc<str>);

impl Observer<Event<'_>> for Noted {
    fn observe(&self, event: &Event<'_>) {
        if let Happening::NotPermitted(refused) = &event.happening {
            let verdict = match refused.state() {
                // It is well, and asked to be left alone.
                State::Closed => "parked",
                state => state.as_str(),
            };
            Call::note(|| {
                Decision::of("breaker", verdict)
                    .upstream(&self.0)
                    .retry_after(refused.retry_after())
            });
        }
    }
}
