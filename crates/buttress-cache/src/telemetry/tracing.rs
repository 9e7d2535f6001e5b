use buttress_core::Observer;
use tracing::{debug, trace, warn};

use crate::Event;

/// Writes what was decided to the log.
///
/// | event | level |
/// |---|---|
/// | a hit, a request that was sent on or collapsed, a response that was stored | `TRACE` |
/// | a response that was not stored, and why; a validation; an invalidation, or a suspicion | `DEBUG` |
/// | the origin failed and something stale was served; a store that could not be asked | `WARN` |
///
/// Nothing of a request or a response is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracing;

impl Observer<Event<'_>> for Tracing {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Hit { age, stale } => trace!(age = age.as_secs(), stale, "hit"),
            Event::Forwarded { why } => trace!(why = why.as_str(), "sent on"),
            Event::Collapsed => trace!("collapsed"),
            Event::NotCollapsed => trace!("waited in vain for another's answer"),
            Event::HitForMiss => trace!("not stored of late, so nobody waits for it"),
            Event::Stored { bytes } => trace!(bytes, "stored"),
            Event::NotStored { why } => debug!(?why, "not stored"),
            Event::Validated => debug!("validated"),
            Event::Invalidated => debug!("invalidated"),
            Event::Suspected => debug!("an unsafe request ended without an answer"),
            Event::GatewayTimeout => debug!("nothing to serve, and the origin is not to be asked"),
            Event::StaleOnFailure { status } => {
                let status = status.map(|status| status.as_u16());
                warn!(status, "the origin failed, something stale was served");
            }
            Event::StoreFailed { error } => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                warn!(cause, "the cache's store could not be asked");
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use tracing::Level;

    use super::*;
    use crate::{NotStored, store::StoreError, telemetry::logged::logged};

    #[test]
    fn only_what_an_operator_must_know_is_loud() {
        let log = logged(|| {
            let error = StoreError::new("connection refused");
            let why = NotStored::TooLarge;
            Tracing.observe(&Event::Collapsed);
            Tracing.observe(&Event::NotStored { why });
            Tracing.observe(&Event::StoreFailed { error: &error });
        });
        let levels: Vec<_> = log.iter().map(|(level, _)| *level).collect();
        assert_eq!(levels, [Level::TRACE, Level::DEBUG, Level::WARN]);
        assert!(log[1].1.contains("TooLarge") && log[2].1.contains("connection refused"));
    }
}
