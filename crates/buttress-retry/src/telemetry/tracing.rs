use buttress_core::Observer;
use tracing::{debug, info, trace};

use crate::{Ended, Event, Happening};

/// Writes what became of calls to the log.
///
/// | event | level |
/// |---|---|
/// | a call is over that worked, or could not be mended | `TRACE` |
/// | a call is over for another reason | `DEBUG`: when an upstream is down there are many |
/// | an attempt will be followed by another, a call waits before a parked upstream | `DEBUG` |
/// | an upstream asked to be left alone for longer than was known | `INFO` |
///
/// Nothing of requests or answers is written; which upstream it is, as the digest that tells nothing of the key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracing;

impl Observer<Event<'_>> for Tracing {
    fn observe(&self, event: &Event<'_>) {
        let policy = event.name;
        match event.happening {
            Happening::Call(report) => {
                let (attempts, ended) = (report.attempts(), report.ended().as_str());
                let elapsed = report.elapsed();
                if matches!(report.ended(), Ended::Success | Ended::NotRetryable) {
                    trace!(policy, attempts, ended, ?elapsed, "the call is over");
                } else {
                    debug!(policy, attempts, ended, ?elapsed, "the call is over");
                }
            }
            Happening::Retry {
                attempt,
                after,
                judgment,
            } => debug!(
                policy,
                attempt,
                ?after,
                ?judgment,
                "there will be another attempt"
            ),
            Happening::Parked { key, span } => {
                info!(policy, ?key, ?span, "an upstream asked to be left alone");
            }
            Happening::Held { key, wait } => {
                debug!(policy, ?key, ?wait, "a call waits before a parked upstream");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;
    use crate::{Judgment, RetryPolicy, telemetry::logged::logged};

    #[test]
    fn what_is_usual_is_quiet() {
        let log = logged(|| {
            let policy = RetryPolicy::builder()
                .max_attempts(2)
                .observer(Tracing)
                .build()
                .unwrap();
            Tracing.observe(&Event {
                name: "default",
                happening: Happening::Parked {
                    key: buttress_core::Digest::from_u128(0x5EC),
                    span: std::time::Duration::from_secs(1),
                },
            });
            let mut call = policy.begin();
            let _ = call.attempted(Judgment::Throttled { retry_after: None });
            let _ = call.attempted(Judgment::TRANSIENT);
            let _ = policy.begin().attempted(Judgment::Success);
        });
        let seen: Vec<_> = log
            .iter()
            .map(|(level, text)| (*level, text.as_str()))
            .collect();
        let [parked, retry, failed, worked] = seen[..] else {
            panic!("{seen:?}")
        };
        assert!(
            parked.0 == Level::INFO && parked.1.contains("span") && parked.1.contains("5ec)"),
            "{parked:?}"
        );
        assert!(
            retry.0 == Level::DEBUG && retry.1.contains("Throttled"),
            "{retry:?}"
        );
        assert!(
            failed.0 == Level::DEBUG && failed.1.contains("attempts=2"),
            "{failed:?}"
        );
        assert!(
            worked.0 == Level::TRACE && worked.1.contains("success"),
            "{worked:?}"
        );
    }
}
