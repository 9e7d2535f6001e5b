mod builder;
#[cfg(all(test, loom))]
mod interleavings;

use std::{fmt, sync::Arc};

use buttress_core::{Clock, ConfigError, Digest, Tick, clock::AnyClock};

pub use self::builder::DirectRateLimiterBuilder;
use crate::{
    Decision, IntoQuota, Limit, Quota, Refused,
    algorithm::{Algorithm, Gcra, OneWord},
    limiter::answer,
    store::signed,
    sync::{AtomicU64, Mutex, Ordering, unpoisoned},
    watcher::Watcher,
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
    limit: Limit,
    clock: AnyClock,
    state: AtomicU64,
    /// Held by who changes the quota.
    changing: Mutex<()>,
    watcher: Option<Watcher>,
}

/// The state while the quota is being changed.
const CHANGING: u64 = u64::MAX;

/// There is but one.
const KEY: Digest = Digest::from_u128(1 << 64);

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

    /// A limiter with a name, a clock or an observer of your choice.
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
        let shared = &*self.shared;
        let now = shared.clock.now();
        let mut seen = shared.state.load(Ordering::Acquire);
        // After the state, which is written last when the quota changes: that of the state, or a later one.
        while let Some(quota) = shared.limit.quotas().unchanged()
            && seen != CHANGING
        {
            let (decision, next) = step(quota, seen, now, cost);
            if let Err(newer) = next.map_or(Ok(0), |next| shared.swap(seen, next)) {
                seen = newer;
                continue;
            }
            if let Some(watcher) = &shared.watcher {
                shared.tell(watcher, now, (cost, quota), decision);
            }
            return answer(quota, decision, cost);
        }
        let (decision, quota) = shared.acquire(now, cost);
        answer(&quota, decision, cost)
    }

    /// The quota.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.shared.limit.quota()
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
    /// Those of [`Limit::set_quota`]; the old quota stays in force then.
    pub fn set_quota(&self, quota: impl IntoQuota) -> Result<(), ConfigError> {
        let quota = quota.into_quota()?;
        self.shared.change(quota, self.shared.clock.now())
    }
}

/// Decides; the next state comes with it where the request is admitted and costs anything.
///
/// By two functions, and not by [`OneWord::step`]: with but one state, each swap waits for the one before, and so it counts
/// how soon the next state is known. By way of the decision that would be later.
#[inline]
fn step(quota: &Quota, state: u64, now: Tick, cost: u64) -> (Decision, Option<u64>) {
    let decision = OneWord::check(&Gcra, quota, state, now, cost);
    let charges = decision.is_admitted() && cost > 0;
    let next = charges.then(|| OneWord::charge(&Gcra, quota, state, now, signed(cost)));
    (decision, next)
}

impl Shared {
    /// Charges `cost`, and tells under which quota.
    #[cold]
    #[inline(never)]
    fn acquire(&self, now: Tick, cost: u64) -> (Decision, Quota) {
        loop {
            let seen = self.state.load(Ordering::Acquire);
            if seen == CHANGING {
                drop(unpoisoned(self.changing.lock()));
                continue;
            }
            let (quota, _) = self.limit.in_force();
            let (decision, next) = step(&quota, seen, now, cost);
            let valid = match next {
                Some(next) => self.swap(seen, next).is_ok(),
                // Only who finds the state once more knows that it is of this quota.
                None => self.state.load(Ordering::Acquire) == seen,
            };
            if valid {
                if let Some(watcher) = &self.watcher {
                    self.tell(watcher, now, (cost, &quota), decision);
                }
                return (decision, quota);
            }
        }
    }

    #[inline]
    fn swap(&self, seen: u64, next: u64) -> Result<u64, u64> {
        let (old, new) = (Ordering::AcqRel, Ordering::Acquire);
        let next = next.min(CHANGING - 1);
        self.state.compare_exchange_weak(seen, next, old, new)
    }

    fn change(&self, to: Quota, now: Tick) -> Result<(), ConfigError> {
        let _changing = unpoisoned(self.changing.lock());
        let mut state = [self.state.swap(CHANGING, Ordering::AcqRel)];
        let from = self.limit.quota();
        let changed = self.limit.set_quota_at(to, now);
        if changed.is_ok() {
            Gcra.carry_over(&from, &to, &mut state, now);
        }
        self.state
            .store(state[0].min(CHANGING - 1), Ordering::Release);
        changed
    }

    /// By value: a decision that somebody points to is kept in memory, where few checks need it.
    #[cold]
    fn tell(&self, watcher: &Watcher, now: Tick, (cost, quota): (u64, &Quota), decision: Decision) {
        watcher.decided(now, &self.limit, KEY, quota, cost, &decision);
    }
}

impl fmt::Debug for DirectRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectRateLimiter")
            .field("limit", &self.shared.limit)
            .finish_non_exhaustive()
    }
}
