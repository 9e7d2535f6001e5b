mod builder;
mod place;

use std::{fmt, sync::Arc};

use buttress_core::{
    Clock as _, ConfigError, Digest, DigestKey, Key, Sleep, Tick, clock::AnyClock,
};

pub use self::builder::RateLimiterBuilder;
use self::place::{Charged, Place};
use crate::{
    Decision, IntoQuota, Limit, Quota, Refused,
    store::{Charge, Fingerprint, MemoryStore, signed},
    watcher::Watcher,
};

/// Limits callers by key, without tower: for a login form, a job queue, a socket's frames.
///
/// Clones share their state. A check of a known key costs one reading of the clock, one keyed hash and
/// one compare-and-swap; no allocation and no lock.
///
/// ```
/// use buttress_rate_limit::{Quota, RateLimiter};
///
/// let logins = RateLimiter::per_key(Quota::per_minute(5)).build()?;
/// for _ in 0..5 {
///     logins.check("alice@example.com")?;
/// }
/// let refused = logins.check("alice@example.com").unwrap_err();
/// assert!(refused.retry_after().unwrap().as_secs() < 12);
///
/// logins.check("bob@example.com")?; // has a quota of his own
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    limit: Arc<Limit>,
    store: MemoryStore,
    clock: AnyClock,
    timer: Arc<dyn Sleep>,
    secret: DigestKey,
    watcher: Option<Watcher>,
}

impl RateLimiter {
    /// A limiter with a quota for each key: a [`Quota`], the builder of one, or its text.
    pub fn per_key(quota: impl IntoQuota) -> RateLimiterBuilder {
        RateLimiterBuilder::of(quota.into_quota())
    }

    /// Charges a request of cost 1 to `key`. It may proceed at once, unless the algorithm gives turns: then after
    /// [`Decision::delay`], for which [`until_ready`](Self::until_ready) waits.
    ///
    /// # Errors
    ///
    /// [`Refused`] where the quota is used up; nothing was charged then.
    #[inline]
    pub fn check<K: Key + ?Sized>(&self, key: &K) -> Result<Decision, Refused> {
        self.check_n(key, 1)
    }

    /// Charges a request of `cost` to `key`, all of it or nothing. A cost of 0 is always admitted.
    ///
    /// # Errors
    ///
    /// [`Refused`] where too little is left, or where the cost exceeds the burst and the request can
    /// never succeed.
    #[inline]
    pub fn check_n<K: Key + ?Sized>(&self, key: &K, cost: u64) -> Result<Decision, Refused> {
        let shared = &*self.shared;
        let limit = &shared.limit;
        let short = Fingerprint::from(shared.secret.digest(key));
        let now = shared.clock.now();
        // The usual case by itself: a quota that never changed need not be copied.
        if let Some(quota) = limit.quotas().unchanged() {
            let terms = (quota, Some(0));
            let acquired = shared.store.acquire_usual(now, limit, short, terms, cost);
            if let Ok(decision) = acquired {
                if let Some(watcher) = &shared.watcher {
                    shared.tell(watcher, key, now, (cost, quota), decision);
                }
                return answer(quota, decision, cost);
            }
        }
        let (decision, charged) = self.acquire(key, short, now, cost);
        answer(&charged.quota, decision, cost)
    }

    /// Charges `cost`, and tells how that was done.
    #[cold]
    #[inline(never)]
    fn acquire<K: Key + ?Sized>(
        &self,
        key: &K,
        short: Fingerprint,
        now: Tick,
        cost: u64,
    ) -> (Decision, Charged) {
        let shared = &*self.shared;
        let limit = &shared.limit;
        let (decision, charged) = loop {
            let (quota, revision) = limit.in_force();
            let terms = (&quota, Some(revision));
            // Anew, if the quota was changed meanwhile.
            let mut decision = UNDECIDED;
            let acquired = shared
                .store
                .acquire_one(now, limit, short, terms, cost, &mut decision);
            if let Ok(place) = acquired {
                let charged = Charged {
                    quota,
                    revision,
                    at: now,
                    place: Some(place),
                };
                break (decision, charged);
            }
        };
        if let Some(watcher) = &shared.watcher {
            shared.tell(watcher, key, now, (cost, &charged.quota), decision);
        }
        (decision, charged)
    }

    /// Charges a request of cost 1 to `key`, and waits for its turn where the algorithm gives turns
    /// ([`Pacing`](crate::Pacing), [`LeakyBucket::as_queue`](crate::LeakyBucket::as_queue)); with all others
    /// it is [`check`](Self::check).
    ///
    /// The place is reserved when the future is first polled: whoever comes first goes first. Each waiter has
    /// one timer and is woken once. Dropping the future before its turn gives the place back, which brings
    /// later arrivals nearer and moves nobody who already waits.
    ///
    /// ```
    /// use std::time::Duration;
    /// use buttress_rate_limit::{Pacing, Quota, RateLimiter};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // A client that stays under its provider's limit, and gives up where that would take too long.
    /// let pace = RateLimiter::per_key(Quota::per_second(5).burst(1))
    ///     .algorithm(Pacing::up_to(Duration::from_secs(10)))
    ///     .build()?;
    /// for _ in 0..3 {
    ///     pace.until_ready("api.example").await?;
    ///     // call it
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Refused`], at once, where the wait would be longer than the algorithm allows.
    pub async fn until_ready<K: Key + ?Sized>(&self, key: &K) -> Result<Decision, Refused> {
        let short = Fingerprint::from(self.shared.secret.digest(key));
        let now = self.shared.clock.now();
        let (decision, charged) = self.acquire(key, short, now, 1);
        let decision = answer(&charged.quota, decision, 1)?;
        if !decision.delay().is_zero() {
            let shared = &*self.shared;
            if let Some(watcher) = &shared.watcher {
                watcher.queued(&shared.limit, decision.delay());
            }
            let mut place = Place {
                limiter: self,
                charged,
                key: Some(key),
            };
            self.shared.timer.sleep(decision.delay()).await;
            place.key = None;
        }
        Ok(decision)
    }

    /// What a request of cost 1 would be answered now. Charges nothing.
    pub fn peek<K: Key + ?Sized>(&self, key: &K) -> Decision {
        let shared = &*self.shared;
        let key = shared.secret.digest(key);
        let now = shared.clock.now();
        loop {
            let (quota, revision) = shared.limit.in_force();
            let charge = shared.charge(key, (&quota, revision), 1);
            let mut decision = UNDECIDED;
            if shared.store.peek(now, &charge, &mut decision).is_ok() {
                return decision;
            }
        }
    }

    /// Gives `cost` back to `key`: a request that was admitted and then not made. A quota never becomes
    /// fuller than full. An algorithm of windows gives it back to the current one.
    pub fn refund<K: Key + ?Sized>(&self, key: &K, cost: u64) {
        let shared = &*self.shared;
        let (quota, revision) = shared.limit.in_force();
        let now = Charged {
            quota,
            revision,
            at: shared.clock.now(),
            place: None,
        };
        shared.give_back(key, &now, cost);
    }

    /// The quota of each key.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.shared.limit.quota()
    }

    /// Changes the quota of all keys, from now on, and keeps what each has used in proportion: see
    /// [`Limit::set_quota`].
    ///
    /// ```
    /// use buttress_rate_limit::RateLimiter;
    ///
    /// let exports = RateLimiter::per_key("10/h").build()?;
    /// exports.check_n("alice", 5)?;
    /// exports.set_quota("100/h")?;
    /// assert_eq!(exports.peek("alice").remaining(), 49); // after one more; half of it is used
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Limit::set_quota`]; the old quota stays in force then.
    pub fn set_quota(&self, quota: impl IntoQuota) -> Result<(), ConfigError> {
        self.shared.limit.set_quota(quota)
    }

    /// How often a key found no place, and the limiter's [`Overflow`](crate::Overflow) decided. Above zero, callers are
    /// limited together with strangers, or not at all: give it a larger
    /// [`max_keys`](RateLimiterBuilder::max_keys), unless it was a flood.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.shared.limit.overflowed()
    }

    /// The bytes that the states occupy: known in advance, and the same under any load.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.store.bytes()
    }
}

#[inline]
pub(crate) fn answer(quota: &Quota, decision: Decision, cost: u64) -> Result<Decision, Refused> {
    if decision.is_admitted() {
        Ok(decision)
    } else {
        Err(Refused::under(quota.burst(), decision, cost))
    }
}

impl Shared {
    fn charge<'a>(
        &'a self,
        key: Digest,
        (quota, revision): (&'a Quota, u64),
        cost: u64,
    ) -> Charge<'a> {
        Charge {
            limit: &self.limit,
            key,
            quota,
            revision: Some(revision),
            cost,
        }
    }

    fn give_back<K: Key + ?Sized>(&self, key: &K, charged: &Charged, cost: u64) {
        let Charged {
            quota,
            revision,
            at,
            place,
        } = charged;
        let charge = self.charge(self.secret.digest(key), (quota, *revision), cost);
        self.store.settle_at(*at, &charge, *place, -signed(cost));
    }

    /// By value: a decision that somebody points to is kept in memory, where few checks need it.
    #[cold]
    fn tell<K: Key + ?Sized>(
        &self,
        watcher: &Watcher,
        key: &K,
        now: Tick,
        (cost, quota): (u64, &Quota),
        decision: Decision,
    ) {
        let (limit, key) = (&*self.limit, self.secret.digest(key));
        watcher.decided(now, limit, key, quota, cost, &decision);
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("limit", &self.shared.limit)
            .finish_non_exhaustive()
    }
}

/// Overwritten by whoever decides; a refusal, should that ever be forgotten.
pub(crate) const UNDECIDED: Decision = Decision::undecided();
