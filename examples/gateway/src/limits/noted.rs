use buttress_core::Observer;
use buttress_rate_limit::Event;

use super::{GLOBAL, PER_IP, PER_KEY, PER_ROUTE, PER_ROUTE_SHADOW};
use crate::call::{Call, Decision};

/// Writes what the limits decide into the record of the call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted;

impl Observer<Event<'_>> for Noted {
    fn observe(&self, event: &Event<'_>) {
        match event {
            // Noted where the lists are, of which both are told.
            Event::Denied => return,
            // It is on no route that has a limit, which nobody decided.
            Event::MissingKey { limit, .. } if matches!(*limit, PER_ROUTE | PER_ROUTE_SHADOW) => {
                return;
            }
            _ => {}
        }
        Call::note(|| decision(event));
    }
}

fn decision(event: &Event<'_>) -> Decision {
    let layer = match event.limit() {
        PER_IP => "per_ip",
        PER_KEY => "per_key",
        PER_ROUTE | PER_ROUTE_SHADOW => "per_route",
        GLOBAL => "global",
        _ => "limit",
    };
    match event {
        Event::Admitted { decision, .. } => {
            Decision::of(layer, "admitted").remaining(decision.remaining())
        }
        Event::Refused { decision, .. } => {
            Decision::of(layer, "refused").retry_after(decision.retry_after())
        }
        Event::WouldRefuse { decision, .. } => {
            Decision::of(layer, "would_refuse").retry_after(decision.retry_after())
        }
        Event::MissingKey { .. } => Decision::of(layer, "no_key"),
        Event::NearLimit { .. } => Decision::of(layer, "near_limit"),
        _ => Decision::of(layer, "other"),
    }
}
