use std::fmt;

use buttress_core::Observer;
use metrics::{Counter, counter};

use crate::{Event, rfc9111::Forward};

/// Counts what was decided, see the [module](super) for the names.
///
/// The counters are registered when this is made: install the recorder before, or they count into the void.
pub struct Metrics {
    hit: Counter,
    stale: Counter,
    collapsed: Counter,
    gateway_timeout: Counter,
    bypass: Counter,
    method: Counter,
    uri_miss: Counter,
    vary_miss: Counter,
    miss: Counter,
    request: Counter,
    stale_validated: Counter,
    partial: Counter,
    validated: Counter,
    stale_on_failure: Counter,
    stored: Counter,
    stored_bytes: Counter,
    not_stored: Counter,
    hit_for_miss: Counter,
    invalidated: Counter,
    suspected: Counter,
    store_failures: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let result =
            |result: &'static str| counter!("http.cache.requests", "http.cache.result" => result);
        Self {
            hit: result("hit"),
            stale: result("stale"),
            collapsed: result("collapsed"),
            gateway_timeout: result("gateway_timeout"),
            bypass: result("bypass"),
            method: result("method"),
            uri_miss: result("uri-miss"),
            vary_miss: result("vary-miss"),
            miss: result("miss"),
            request: result("request"),
            stale_validated: result("stale-validated"),
            partial: result("partial"),
            validated: counter!("http.cache.validated"),
            stale_on_failure: counter!("http.cache.stale_on_failure"),
            stored: counter!("http.cache.stored"),
            stored_bytes: counter!("http.cache.stored_bytes"),
            not_stored: counter!("http.cache.not_stored"),
            hit_for_miss: counter!("http.cache.hit_for_miss"),
            invalidated: counter!("http.cache.invalidated"),
            suspected: counter!("http.cache.suspected"),
            store_failures: counter!("http.cache.store_failures"),
        }
    }
}

impl Metrics {
    const fn forwarded(&self, why: Forward) -> &Counter {
        match why {
            Forward::Bypass => &self.bypass,
            Forward::Method => &self.method,
            Forward::UriMiss => &self.uri_miss,
            Forward::VaryMiss => &self.vary_miss,
            Forward::Miss => &self.miss,
            Forward::Request => &self.request,
            Forward::Stale => &self.stale_validated,
            Forward::Partial => &self.partial,
        }
    }
}

impl Observer<Event<'_>> for Metrics {
    fn observe(&self, event: &Event<'_>) {
        let counter = match event {
            Event::Hit { stale: false, .. } => &self.hit,
            Event::Hit { stale: true, .. } => &self.stale,
            Event::Forwarded { why } => self.forwarded(*why),
            Event::Collapsed => &self.collapsed,
            Event::Validated => &self.validated,
            Event::StaleOnFailure { .. } => &self.stale_on_failure,
            Event::GatewayTimeout => &self.gateway_timeout,
            Event::Stored { bytes } => {
                self.stored_bytes.increment(*bytes as u64);
                &self.stored
            }
            Event::NotStored { .. } => &self.not_stored,
            Event::Invalidated => &self.invalidated,
            Event::Suspected => &self.suspected,
            Event::StoreFailed { .. } => &self.store_failures,
            Event::HitForMiss => &self.hit_for_miss,
            // It is counted when it is sent on.
            Event::NotCollapsed => return,
        };
        counter.increment(1);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    use super::*;

    #[test]
    fn what_was_decided_is_counted() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            let metrics = Metrics::default();
            let age = Duration::ZERO;
            for event in [
                Event::Forwarded {
                    why: Forward::UriMiss,
                },
                Event::NotCollapsed,
                Event::HitForMiss,
                Event::Stored { bytes: 700 },
                Event::Hit { age, stale: false },
                Event::Hit { age, stale: false },
                Event::Hit { age, stale: true },
            ] {
                metrics.observe(&event);
            }
        });
        let mut counted: Vec<_> = snapshotter
            .snapshot()
            .into_vec()
            .into_iter()
            .filter_map(|(key, _, _, value)| match value {
                DebugValue::Counter(count) if count > 0 => {
                    let labels = key
                        .key()
                        .labels()
                        .map(|label| format!(" {}", label.value()));
                    let name = format!("{}{}", key.key().name(), labels.collect::<String>());
                    Some((name, count))
                }
                _ => None,
            })
            .collect();
        counted.sort();
        let expected = [
            ("http.cache.hit_for_miss", 1),
            ("http.cache.requests hit", 2),
            ("http.cache.requests stale", 1),
            ("http.cache.requests uri-miss", 1),
            ("http.cache.stored", 1),
            ("http.cache.stored_bytes", 700),
        ];
        assert_eq!(
            counted,
            expected.map(|(name, count)| (name.to_owned(), count))
        );
    }
}
