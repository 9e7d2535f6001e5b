mod builder;
#[cfg(all(test, loom))]
mod interleavings;
mod place;
mod shared;

use std::{fmt, sync::Arc};

use buttress_core::{Clock, ConfigError};

pub use self::builder::DirectRateLimiterBuilder;
use self::{place::Place, shared::Shared};
use crate::{
    Decision, IntoQuota, Quota, Refused,
    limiter::{UNDECIDED, answer},
    store::signed,
};

/// One quota for all, without keys and without tower: a process's own pace.
///
/// Clones share their state: one atomic word. A check costs one reading of the clock and one
/// compare-and-swap. With an [algorithm](DirectRateLimiterBuilder::algorithm) whose states are of several words it
/// takes a lock instead, which is held for one decision; a [`SlidingWindow`](crate::SlidingWindow) mostly does without.
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

impl DirectRateLimiter {
    /// A limiter on tokio's clock.
    ///
    /// # Errors
    ///
    /// Where the quota cannot be expressed.
    pub fn of(quota: impl IntoQuota) -> Result<Self, ConfigError> {
        Self::builder(quota).build()
    }

    /// A limiter on a clock of your choice.
    ///
    /// # Errors
    ///
    /// Where the quota cannot be expressed.
    pub fn with_clock(quota: impl IntoQuota, clock: impl Clock) -> Result<Self, ConfigError> {
        Self::builder(quota).clock(clock).build()
    }

    /// A limiter with a name, an algorithm, a clock or an observer of your choice.
    pub fn builder(quota: impl IntoQuota) -> DirectRateLimiterBuilder {
        DirectRateLimiterBuilder::of(quota.into_quota())
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
        self.shared.check(cost)
    }

    /// Charges a request of cost 1, and waits for its turn where the algorithm gives turns
    /// ([`Pacing`](crate::Pacing), [`LeakyBucket::as_queue`](crate::LeakyBucket::as_queue)); with all others it
    /// is [`check`](Self::check).
    ///
    /// The place is reserved when the future is first polled: whoever comes first goes first. Each waiter has
    /// one timer and is woken once. Dropping the future before its turn gives the place back, which brings
    /// later arrivals nearer and moves nobody who already waits.
    ///
    /// ```
    /// use std::time::Duration;
    /// use buttress_rate_limit::{DirectRateLimiter, Pacing, Quota};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // An importer that writes a steady five rows a second.
    /// let pace = DirectRateLimiter::builder(Quota::per_second(5).burst(1))
    ///     .algorithm(Pacing::up_to(Duration::from_secs(10)))
    ///     .build()?;
    /// for _ in 0..3 {
    ///     pace.until_ready().await?;
    ///     // write one
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Refused`], at once, where the wait would be longer than the algorithm allows.
    pub async fn until_ready(&self) -> Result<Decision, Refused> {
        let shared = &*self.shared;
        let now = shared.now();
        let mut decision = UNDECIDED;
        let (quota, revision) = shared.acquire(now, 1, &mut decision);
        let decision = answer(&quota, decision, 1)?;
        if !decision.delay().is_zero() {
            let place = Place::taken(shared, (quota, revision), now, decision.delay());
            shared.sleep(decision.delay()).await;
            place.leave();
        }
        Ok(decision)
    }

    /// What a request of cost 1 would be answered now. Charges nothing.
    pub fn peek(&self) -> Decision {
        self.shared.peek(self.shared.now(), 1)
    }

    /// Gives `cost` back: a request that was admitted and then not made. The quota never becomes fuller than
    /// full. An algorithm of windows gives it back to the current one.
    pub fn refund(&self, cost: u64) {
        let shared = &*self.shared;
        shared.settle(shared.now(), shared.in_force(), -signed(cost));
    }

    /// The quota.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.shared.in_force().0
    }

    /// Changes the quota, from now on, and keeps what was used in proportion: who has used half of the old one
    /// has used half of the new one.
    ///
    /// ```
    /// use buttress_rate_limit::DirectRateLimiter;
    ///
    /// let mails = DirectRateLimiter::of("10/h")?;
    /// mails.check_n(5)?;
    /// mails.set_quota("100/h")?;
    /// assert!(mails.check_n(51).is_err());
    /// assert!(mails.check_n(50).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Limit::set_quota`](crate::Limit::set_quota); the old quota stays in force then.
    pub fn set_quota(&self, quota: impl IntoQuota) -> Result<(), ConfigError> {
        let quota = quota.into_quota()?;
        self.shared.change(quota, self.shared.now())
    }
}

impl fmt::Debug for DirectRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectRateLimiter")
            .field("limit", self.shared.limit())
            .finish_non_exhaustive()
    }
}
