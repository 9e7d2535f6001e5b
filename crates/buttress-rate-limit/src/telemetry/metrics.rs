use std::{
    fmt,
    sync::{OnceLock, PoisonError, RwLock},
};

use buttress_core::Observer;
use metrics::{Counter, Gauge, counter, gauge};

use crate::Event;

/// Counts what was decided, see the [module](super) for the names.
///
/// The counters of a policy are registered when it first decides: install the recorder before, or they
/// count into the void.
#[derive(Default)]
pub struct Metrics {
    /// A handful of policies: looking through them costs less than hashing a name.
    known: RwLock<Vec<Policy>>,
    denied: OnceLock<Counter>,
}

struct Policy {
    name: String,
    acquired: Counter,
    queued: Gauge,
    refused: Counter,
    would_refuse: Counter,
    missing_key: Counter,
    near_limit: Counter,
    unsupported_quota: Counter,
}

/// How many requests of a policy had this result.
fn requests(policy: &str, result: &'static str) -> Counter {
    counter!(
        "rate_limiting.requests",
        "rate_limiting.policy" => policy.to_owned(),
        "rate_limiting.result" => result,
    )
}

impl Policy {
    fn register(name: &str) -> Self {
        let result = |result| requests(name, result);
        Self {
            name: name.to_owned(),
            acquired: result("acquired"),
            queued: gauge!("rate_limiting.queued_requests", "rate_limiting.policy" => name.to_owned()),
            refused: result("refused"),
            would_refuse: result("would_refuse"),
            missing_key: result("missing_key"),
            near_limit: counter!("rate_limiting.near_limit", "rate_limiting.policy" => name.to_owned()),
            unsupported_quota: counter!(
                "rate_limiting.unsupported_quotas",
                "rate_limiting.policy" => name.to_owned(),
            ),
        }
    }

    fn count(&self, event: &Event<'_>) {
        match event {
            Event::Admitted { .. } => self.acquired.increment(1),
            Event::Queued { .. } => self.queued.increment(1.0),
            Event::Dequeued { .. } => self.queued.decrement(1.0),
            Event::Refused { .. } => self.refused.increment(1),
            Event::WouldRefuse { .. } => self.would_refuse.increment(1),
            // Its request was counted when it was admitted.
            Event::NearLimit { .. } => self.near_limit.increment(1),
            Event::UnsupportedQuota { .. } => self.unsupported_quota.increment(1),
            Event::MissingKey { .. } => self.missing_key.increment(1),
            // It is no policy's.
            Event::Denied => {}
        }
    }
}

impl Observer<Event<'_>> for Metrics {
    fn observe(&self, event: &Event<'_>) {
        let name = event.limit();
        if matches!(event, Event::Denied) {
            let denied = self.denied.get_or_init(|| requests(name, "denied"));
            return denied.increment(1);
        }
        {
            // Counters are counted or not: nothing is half done where a thread panicked.
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(policy) = known.iter().find(|policy| policy.name == name) {
                return policy.count(event);
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match known.iter().find(|policy| policy.name == name) {
            Some(policy) => policy.count(event),
            None => {
                let policy = Policy::register(name);
                policy.count(event);
                known.push(policy);
            }
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use buttress_core::clock::ManualClock;
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    use super::*;
    use crate::RateLimiter;

    #[test]
    fn what_was_decided_is_counted_by_policy() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            let limiter = RateLimiter::per_key("2/h")
                .name("logins")
                .clock(ManualClock::default())
                .observer(Metrics::default())
                .build()
                .unwrap();
            assert_eq!(
                [0; 5].map(|_| limiter.check("alice").is_ok()),
                [true, true, false, false, false]
            );
        });
        let mut counted: Vec<_> = snapshotter
            .snapshot()
            .into_vec()
            .into_iter()
            .map(|(key, _, _, value)| {
                let labels: Vec<_> = key
                    .key()
                    .labels()
                    .map(|label| label.value().to_owned())
                    .collect();
                (key.key().name().to_owned(), labels.join(" "), value)
            })
            .collect();
        counted.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
        let name = || "rate_limiting.requests".to_owned();
        assert_eq!(
            counted,
            [
                (
                    "rate_limiting.near_limit".to_owned(),
                    "logins".to_owned(),
                    DebugValue::Counter(2)
                ),
                (
                    "rate_limiting.queued_requests".to_owned(),
                    "logins".to_owned(),
                    DebugValue::Gauge(0.0.into())
                ),
                (
                    "rate_limiting.unsupported_quotas".to_owned(),
                    "logins".to_owned(),
                    DebugValue::Counter(0)
                ),
                (name(), "logins acquired".to_owned(), DebugValue::Counter(2)),
                (
                    name(),
                    "logins missing_key".to_owned(),
                    DebugValue::Counter(0)
                ),
                (name(), "logins refused".to_owned(), DebugValue::Counter(3)),
                (
                    name(),
                    "logins would_refuse".to_owned(),
                    DebugValue::Counter(0)
                ),
            ]
        );
    }

    #[test]
    fn every_event_has_its_counter() {
        let decision = crate::Decision::undecided();
        let error = buttress_core::ConfigError::new("burst", 7, "another one");
        let (limit, cost, decision) = ("a", 2, &decision);
        let events = [
            Event::Admitted {
                limit,
                cost,
                decision,
            },
            Event::Refused {
                limit,
                cost,
                decision,
            },
            Event::WouldRefuse {
                limit,
                cost,
                decision,
            },
            Event::MissingKey { limit, why: "none" },
            Event::NearLimit {
                limit,
                percent: 50,
                decision,
            },
            Event::UnsupportedQuota {
                limit,
                error: &error,
            },
        ];
        for event in events {
            let recorder = DebuggingRecorder::new();
            let snapshotter = recorder.snapshotter();
            metrics::with_local_recorder(&recorder, || Metrics::default().observe(&event));
            let snapshot = snapshotter.snapshot().into_vec();
            let counted = |value: &DebugValue| matches!(value, DebugValue::Counter(1));
            let counted = snapshot.iter().filter(|(.., value)| counted(value));
            assert_eq!(counted.count(), 1, "{event:?}");
        }
    }

    #[test]
    fn who_is_denied_is_no_policys() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            let metrics = Metrics::default();
            metrics.observe(&Event::Denied);
            metrics.observe(&Event::Denied);
        });
        let counted = snapshotter.snapshot().into_vec();
        let [(key, _, _, DebugValue::Counter(2))] = &counted[..] else {
            panic!("{counted:?}")
        };
        let labels: Vec<_> = key.key().labels().map(|label| label.value()).collect();
        assert_eq!(
            (key.key().name(), labels),
            ("rate_limiting.requests", vec!["", "denied"])
        );
    }

    /// While they wait they are counted, and no longer: also those who give up.
    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_a_gauge() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        // A snapshot tells what changed since the one before.
        let changed = || {
            let all = snapshotter.snapshot().into_vec();
            let mut gauges = all.into_iter().filter_map(|(_, _, _, value)| match value {
                DebugValue::Gauge(value) => Some(value.into_inner()),
                _ => None,
            });
            gauges.next()
        };
        let _recording = metrics::set_default_local_recorder(&recorder);
        let pace = RateLimiter::per_key("1/s burst 1")
            .algorithm(crate::Pacing::up_to(std::time::Duration::from_secs(9)))
            .observer(Metrics::default())
            .build()
            .unwrap();
        assert!(pace.until_ready("api").await.is_ok());
        let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(pace.until_ready("api"))).collect();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for waiter in &mut waiters {
            assert!(waiter.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(changed(), Some(3.0));
        drop(waiters.pop());
        assert_eq!(changed(), Some(-1.0));
        for waiter in waiters {
            assert!(waiter.await.is_ok());
        }
        assert_eq!(changed(), Some(-2.0));
    }
}
