use std::{fmt, sync::Arc};

use buttress_core::{
    Clock, ConfigError,
    clock::{AnyClock, TokioClock},
};

use crate::{
    Decision, IntoQuota, Quota, Refused,
    algorithm::Gcra,
    store::{step, update_word},
    sync::AtomicU64,
};

/// One quota for all, without keys and without tower: a process's own pace.
///
/// Clones share their state: one atomic word. A check costs one reading of the clock and one
/// compare-and-swap.
///
/// ```
/// use buttress_rate_limit::{DirectRateLimiter, Quota};
///
/// let warnings = DirectRateLimiter::of(Quota::per_minute(2))?;
/// let logged = (0..100).filter(|_| warnings.check().is_ok()).count();
/// assert_eq!(logged, 2);
/// # Ok::<(), buttress_rate_limit::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct DirectRateLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    quota: Quota,
    clock: AnyClock,
    state: AtomicU64,
}

impl DirectRateLimiter {
    /// A limiter on tokio's clock.
    ///
    /// # Errors
    ///
    /// Where the quota cannot be expressed.
    pub fn of(quota: impl IntoQuota) -> Result<Self, ConfigError> {
        Self::with_clock(quota, TokioClock::starting_now())
    }

    /// A limiter on a clock of your choice.
    ///
    /// # Errors
    ///
    /// Where the quota cannot be expressed.
    pub fn with_clock(quota: impl IntoQuota, clock: impl Clock) -> Result<Self, ConfigError> {
        let quota = quota.into_quota()?;
        Ok(Self {
            shared: Arc::new(Shared {
                quota,
                clock: AnyClock::of(clock),
                state: AtomicU64::new(0),
            }),
        })
    }

    /// Charges a request of cost 1.
    ///
    /// # Errors
    ///
    /// [`Refused`] where the quota is used up; nothing was charged then.
    #[inline]
    pub fn check(&self) -> Result<Decision, Refused> {
        self.check_n(1)
    }

    /// Charges a request of `cost`, all of it or nothing. A cost of 0 is always admitted.
    ///
    /// # Errors
    ///
    /// [`Refused`] where too little is left, or where the cost exceeds the burst and the request can
    /// never succeed.
    #[inline]
    pub fn check_n(&self, cost: u64) -> Result<Decision, Refused> {
        let Shared {
            quota,
            clock,
            state,
        } = &*self.shared;
        let now = clock.now();
        let mut decision = crate::limiter::UNDECIDED;
        update_word(state, |seen| {
            let next;
            (decision, next) = step(&Gcra, quota, seen, now, cost);
            next
        });
        if decision.is_admitted() {
            Ok(decision)
        } else {
            Err(Refused::under(quota, decision, cost))
        }
    }

    /// The quota.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.shared.quota
    }
}

impl fmt::Debug for DirectRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectRateLimiter")
            .field("quota", &self.shared.quota)
            .finish_non_exhaustive()
    }
}
