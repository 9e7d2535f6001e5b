use buttress_core::Observer;
use tracing::{debug, trace, warn};

use crate::{DirectRateLimiter, Event, Quota};

/// Writes what was decided to the log.
///
/// | event | level |
/// |---|---|
/// | a request was admitted, waits for its turn, waits no more | `TRACE` |
/// | a request was refused, denied or would have been refused, or a key came near its limit | `DEBUG`: under attack there are many, and each is somebody's choice |
/// | a request had no key | `WARN`, at most once a second: it is a mistake in the deployment, such as a missing connect info, until it is an attack |
/// | the quota that was resolved for a request is not supported | `WARN`, likewise, and beside those |
///
/// Nothing of the key is written.
#[derive(Debug, Default)]
pub struct Tracing {
    missing_key: Warnings,
    /// By themselves: anybody can send requests without a key, and hide nothing by them.
    unsupported_quota: Warnings,
}

/// One a second.
#[derive(Debug)]
struct Warnings {
    /// `None` would mean that the quota cannot be expressed, which it can.
    limit: Option<DirectRateLimiter>,
}

impl Default for Warnings {
    fn default() -> Self {
        Self {
            limit: DirectRateLimiter::of(Quota::per_second(1)).ok(),
        }
    }
}

impl Warnings {
    fn may_warn(&self) -> bool {
        let limit = self.limit.as_ref();
        limit.is_none_or(|limit| limit.check().is_ok())
    }
}

impl Observer<Event<'_>> for Tracing {
    fn observe(&self, event: &Event<'_>) {
        match *event {
            Event::Admitted {
                limit,
                cost,
                decision,
            } => {
                trace!(limit, cost, remaining = decision.remaining(), "admitted");
            }
            Event::Queued { limit, wait } => trace!(limit, ?wait, "waits for its turn"),
            Event::Dequeued { limit } => trace!(limit, "waits no more"),
            Event::Refused {
                limit,
                cost,
                decision,
            } => {
                debug!(limit, cost, retry_after = ?decision.retry_after(), "refused");
            }
            Event::WouldRefuse {
                limit,
                cost,
                decision,
            } => {
                debug!(limit, cost, retry_after = ?decision.retry_after(), "would refuse");
            }
            Event::Denied => debug!("denied"),
            Event::NearLimit {
                limit,
                percent,
                decision,
            } => {
                debug!(
                    limit,
                    percent,
                    remaining = decision.remaining(),
                    "near the limit"
                );
            }
            Event::UnsupportedQuota { limit, error } => {
                if self.unsupported_quota.may_warn() {
                    warn!(
                        limit,
                        %error,
                        "the quota of a request is none that the algorithm supports"
                    );
                }
            }
            Event::MissingKey { limit, why } => {
                if self.missing_key.may_warn() {
                    warn!(limit, why, "a request has no key for a rate limit");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;
    use crate::{RateLimiter, telemetry::logged::logged};

    #[test]
    fn every_event_is_written() {
        let decision = crate::Decision::undecided();
        let error = buttress_core::ConfigError::new("burst", 7, "another one");
        let (limit, cost, decision) = ("a", 2, &decision);
        let events = [
            (
                Level::TRACE,
                Event::Admitted {
                    limit,
                    cost,
                    decision,
                },
            ),
            (
                Level::TRACE,
                Event::Queued {
                    limit,
                    wait: std::time::Duration::ZERO,
                },
            ),
            (Level::TRACE, Event::Dequeued { limit }),
            (
                Level::DEBUG,
                Event::Refused {
                    limit,
                    cost,
                    decision,
                },
            ),
            (
                Level::DEBUG,
                Event::WouldRefuse {
                    limit,
                    cost,
                    decision,
                },
            ),
            (
                Level::DEBUG,
                Event::NearLimit {
                    limit,
                    percent: 50,
                    decision,
                },
            ),
            (Level::DEBUG, Event::Denied),
            (
                Level::WARN,
                Event::UnsupportedQuota {
                    limit,
                    error: &error,
                },
            ),
            (Level::WARN, Event::MissingKey { limit, why: "none" }),
        ];
        for (level, event) in events {
            let log = logged(|| Tracing::default().observe(&event));
            assert_eq!(log.len(), 1, "{event:?}");
            assert_eq!(log[0].0, level, "{event:?}");
        }
        let log = logged(|| {
            let tracing = Tracing::default();
            // Which anybody can send who likes to.
            tracing.observe(&Event::MissingKey { limit, why: "none" });
            for _ in 0..100 {
                tracing.observe(&Event::UnsupportedQuota {
                    limit,
                    error: &error,
                });
            }
        });
        let unsupported = log.iter().filter(|(_, text)| text.contains("another one"));
        assert!((1..10).contains(&unsupported.count()), "{log:?}");
    }

    #[test]
    fn decisions_are_quiet_and_a_missing_key_is_loud_but_not_a_flood() {
        let log = logged(|| {
            let tracing = Tracing::default();
            for _ in 0..1_000 {
                tracing.observe(&Event::MissingKey {
                    limit: "per-ip",
                    why: "nobody knows",
                });
            }
            let limiter = RateLimiter::per_key("1/h")
                .name("logins")
                .observer(tracing)
                .build()
                .unwrap();
            let _ = (
                limiter.check("alice-and-her-secret"),
                limiter.check("alice-and-her-secret"),
            );
        });
        let of = |level| {
            log.iter()
                .filter(move |(at, _)| *at == level)
                .map(|(_, text)| text.as_str())
        };
        assert!((1..10).contains(&of(Level::WARN).count()), "{log:?}");
        assert!(
            of(Level::WARN).all(|text| text.contains("nobody knows") && text.contains("per-ip"))
        );
        assert!(of(Level::TRACE).any(|text| text.contains("logins")));
        assert!(of(Level::DEBUG).any(|text| text.contains("retry_after")));
        assert!(!log.iter().any(|(_, text)| text.contains("alice")));
    }
}
