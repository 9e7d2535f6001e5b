use std::{
    fmt,
    sync::{PoisonError, RwLock},
};

use buttress_core::Observer;
use metrics::{Counter, counter};

use crate::{CallKind, Ended, Event, Happening, Report};

/// Counts what became of calls, see the [module](super) for the names.
///
/// The counters of a policy are registered when it is first heard of: install the recorder before, or they count into
/// the void.
#[derive(Default)]
pub struct Metrics {
    /// A handful of policies: looking through them costs less than hashing a name.
    known: RwLock<Vec<Policy>>,
}

struct Policy {
    name: String,
    calls: [(CallKind, Counter); 4],
    ended: [(Ended, Counter); Ended::EACH.len()],
    attempts: Counter,
    parked: Counter,
    held: Counter,
}

const KINDS: [CallKind; 4] = [
    CallKind::SuccessfulWithoutRetry,
    CallKind::SuccessfulWithRetry,
    CallKind::FailedWithoutRetry,
    CallKind::FailedWithRetry,
];

impl Policy {
    fn register(name: &str) -> Self {
        let policy = || name.to_owned();
        Self {
            name: policy(),
            calls: KINDS.map(|kind| {
                let counter =
                    counter!("retry.calls", "retry.policy" => policy(), "kind" => kind.as_str());
                (kind, counter)
            }),
            ended: Ended::EACH.map(|ended| {
                let counter =
                    counter!("retry.ended", "retry.policy" => policy(), "reason" => ended.as_str());
                (ended, counter)
            }),
            attempts: counter!("retry.attempts", "retry.policy" => policy()),
            parked: counter!("retry.parked", "retry.policy" => policy()),
            held: counter!("retry.held", "retry.policy" => policy()),
        }
    }

    fn count(&self, happening: Happening) {
        match happening {
            Happening::Call(report) => self.count_call(report),
            Happening::Parked { .. } => self.parked.increment(1),
            Happening::Held { .. } => self.held.increment(1),
            // Counted when the call is over.
            Happening::Retry { .. } => {}
        }
    }

    fn count_call(&self, report: Report) {
        self.attempts.increment(report.attempts().into());
        let kind = CallKind::of(report);
        for (_, counter) in self.calls.iter().filter(|(of, _)| *of == kind) {
            counter.increment(1);
        }
        for (_, counter) in self.ended.iter().filter(|(of, _)| *of == report.ended()) {
            counter.increment(1);
        }
    }
}

impl Observer<Event<'_>> for Metrics {
    fn observe(&self, event: &Event<'_>) {
        {
            // Counters are counted or not: nothing is half done where a thread panicked.
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(policy) = known.iter().find(|policy| policy.name == event.name) {
                return policy.count(event.happening);
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match known.iter().find(|policy| policy.name == event.name) {
            Some(policy) => policy.count(event.happening),
            None => {
                let policy = Policy::register(event.name);
                policy.count(event.happening);
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
    use std::{sync::Arc, time::Duration};

    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    use super::*;
    use crate::{Judgment, RetryPolicy};

    #[test]
    fn what_became_of_calls_is_counted_by_policy() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            let metrics = Arc::new(Metrics::default());
            let policy = RetryPolicy::builder()
                .name("billing")
                .max_attempts(2)
                .observer(Arc::clone(&metrics))
                .build()
                .unwrap();
            let span = Duration::from_secs(1);
            metrics.observe(&Event {
                name: "billing",
                happening: Happening::Parked {
                    key: buttress_core::Digest::from_u128(1),
                    span,
                },
            });
            let _ = policy.begin().attempted(Judgment::Success);
            for last in [Judgment::Success, Judgment::TRANSIENT] {
                let mut call = policy.begin();
                let retry_after = Some(Duration::from_secs(1));
                let _ = call.attempted(Judgment::Throttled { retry_after });
                let _ = call.attempted(last);
            }
        });
        let mut counted: Vec<_> = snapshotter
            .snapshot()
            .into_vec()
            .into_iter()
            .filter(|(.., value)| *value != DebugValue::Counter(0))
            .map(|(key, _, _, value)| {
                let labels = key.key().labels().map(|label| label.value());
                let labels: Vec<_> = labels.collect();
                format!("{} {} {value:?}", key.key().name(), labels.join(" "))
            })
            .collect();
        counted.sort();
        assert_eq!(
            counted,
            [
                "retry.attempts billing Counter(5)",
                "retry.calls billing failed_with_retry Counter(1)",
                "retry.calls billing successful_with_retry Counter(1)",
                "retry.calls billing successful_without_retry Counter(1)",
                "retry.ended billing attempts Counter(1)",
                "retry.ended billing success Counter(2)",
                "retry.parked billing Counter(1)",
            ]
        );
    }
}
