use std::sync::atomic::{AtomicU64, Ordering};

use buttress_core::{ConfigError, Observer};
use buttress_rate_limit::{DirectRateLimiter, Event, Quota};

use super::{GLOBAL, PER_IP, PER_KEY, PER_ROUTE_SHADOW};
use crate::config::LimitsConfig;

/// Tells the operator what the limits in shadow would have done: at most once a second each, with how many
/// it was until then.
#[derive(Debug)]
pub(super) struct Shadows(Vec<Shadow>);

#[derive(Debug)]
struct Shadow {
    limit: &'static str,
    would_refuse: AtomicU64,
    pace: DirectRateLimiter,
}

impl Shadows {
    pub(super) fn of(limits: &LimitsConfig) -> Result<Self, ConfigError> {
        let per_key = limits.per_key.as_ref();
        let shadows = [
            (
                PER_IP,
                limits.per_ip.as_ref().is_some_and(|limit| limit.shadow),
            ),
            (PER_KEY, per_key.is_some_and(|limit| limit.shadow)),
            (
                PER_ROUTE_SHADOW,
                limits.routes.iter().any(|limit| limit.shadow),
            ),
            (
                GLOBAL,
                limits.global.as_ref().is_some_and(|limit| limit.shadow),
            ),
        ];
        let shadows = shadows.into_iter().filter(|(_, shadow)| *shadow);
        shadows
            .map(|(limit, _)| Shadow::of(limit))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// How often each would have refused.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let shadows = self.0.iter();
        shadows.map(|shadow| (shadow.limit, shadow.would_refuse.load(Ordering::Relaxed)))
    }
}

impl Shadow {
    fn of(limit: &'static str) -> Result<Self, ConfigError> {
        Ok(Self {
            limit,
            would_refuse: AtomicU64::new(0),
            pace: DirectRateLimiter::of(Quota::per_second(1))?,
        })
    }
}

impl Observer<Event<'_>> for Shadows {
    fn observe(&self, event: &Event<'_>) {
        if let Event::WouldRefuse { limit, .. } = event
            && let Some(shadow) = self.0.iter().find(|shadow| shadow.limit == *limit)
        {
            let so_far = 1 + shadow.would_refuse.fetch_add(1, Ordering::Relaxed);
            if shadow.pace.check().is_ok() {
                tracing::info!(limit, so_far, "would have refused");
            }
        }
    }
}
