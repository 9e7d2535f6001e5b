use buttress_core::Observer;
use tracing::{debug, trace, warn};

use crate::Event;

/// Writes what was decided to the log.
///
/// | event | level |
/// |---|---|
/// | a hit, a request that was sent on or collapsed, a response that was stored | `TRACE` |
/// | a response that was not stored, and why; a validation; an invalidation | `DEBUG` |
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
            Event::Stored { bytes } => trace!(bytes, "stored"),
            Event::NotStored { why } => debug!(?why, "not stored"),
            Event::Validated => debug!("validated"),
            Event::Invalidated => debug!("invalidated"),
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{
        Event as Record, Level, Metadata, Subscriber,
        field::{Field, Visit},
        span,
    };

    use super::*;
    use crate::{NotStored, store::StoreError};

    /// Keeps the level and the text of everything.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<(Level, String)>>>);

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, record: &Record<'_>) {
            struct Fields(String);
            impl Visit for Fields {
                fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                    self.0 += &format!("{field}={value:?} ");
                }
            }
            let mut fields = Fields(String::new());
            record.record(&mut fields);
            self.0
                .lock()
                .unwrap()
                .push((*record.metadata().level(), fields.0));
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn only_what_an_operator_must_know_is_loud() {
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            let error = StoreError::new("connection refused");
            let why = NotStored::TooLarge;
            Tracing.observe(&Event::Collapsed);
            Tracing.observe(&Event::NotStored { why });
            Tracing.observe(&Event::StoreFailed { error: &error });
        });
        let log = log.0.lock().unwrap();
        let levels: Vec<_> = log.iter().map(|(level, _)| *level).collect();
        assert_eq!(levels, [Level::TRACE, Level::DEBUG, Level::WARN]);
        assert!(log[1].1.contains("TooLarge") && log[2].1.contains("connection refused"));
    }
}
