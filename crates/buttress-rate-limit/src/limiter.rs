use std::{fmt, sync::Arc};

use buttress_core::{
    Clock, ConfigError, Digest, DigestKey, Key, Observer, Sleep, Tick,
    clock::{AnyClock, TokioClock},
};

use crate::{
    Algorithm, Decision, Event, IntoQuota, Limit, Overflow, Quota, Refused,
    algorithm::Kind,
    signals::DEFAULT_THRESHOLDS,
    store::{Charge, Fingerprint, MemoryStore, Store as _},
    watcher::Watcher,
};

/// The room for keys that a limiter has unless told otherwise: 100,000 keys, in 3.2 MB.
pub(crate) const DEFAULT_MAX_KEYS: usize = 100_000;

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
        RateLimiterBuilder {
            name: "default".into(),
            quota: quota.into_quota(),
            kind: Kind::default(),
            max_keys: DEFAULT_MAX_KEYS,
            overflow: Overflow::default(),
            clock: None,
            timer: None,
            secret: None,
            observer: None,
            near_limit: DEFAULT_THRESHOLDS.to_vec(),
        }
    }

    /// Charges a request of cost 1 to `key`.
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
            let mut decision = UNDECIDED;
            let acquired = shared
                .store
                .acquire_one(now, limit, short, terms, cost, &mut decision);
            if acquired.is_ok() {
                if let Some(watcher) = &shared.watcher {
                    shared.tell(watcher, key, now, (cost, quota), decision);
                }
                return answer(quota, decision, cost);
            }
        }
        let (decision, quota, _) = self.acquire(key, now, cost);
        answer(&quota, decision, cost)
    }

    /// Charges `cost`, and tells under which quota, of which revision.
    #[cold]
    #[inline(never)]
    fn acquire<K: Key + ?Sized>(&self, key: &K, now: Tick, cost: u64) -> (Decision, Quota, u64) {
        let shared = &*self.shared;
        let limit = &shared.limit;
        let short = Fingerprint::from(shared.secret.digest(key));
        let (decision, quota, revision) = loop {
            let (quota, revision) = limit.in_force();
            let terms = (&quota, Some(revision));
            // Anew, if the quota was changed meanwhile.
            let mut decision = UNDECIDED;
            let acquired = shared
                .store
                .acquire_one(now, limit, short, terms, cost, &mut decision);
            if acquired.is_ok() {
                break (decision, quota, revision);
            }
        };
        if let Some(watcher) = &shared.watcher {
            shared.tell(watcher, key, now, (cost, &quota), decision);
        }
        (decision, quota, revision)
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
        let (decision, quota, revision) = self.acquire(key, self.shared.clock.now(), 1);
        let decision = answer(&quota, decision, 1)?;
        if !decision.delay().is_zero() {
            let mut place = Place {
                limiter: self,
                quota: (quota, revision),
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
        self.shared
            .give_back(key, self.shared.limit.in_force(), cost);
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

    /// How often a key found no place, and the limiter's [`Overflow`] decided. Above zero, callers are
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
        Err(Refused::under(quota, decision, cost))
    }
}

/// A place in the queue, given back if it is dropped while it still has a key.
struct Place<'a, K: Key + ?Sized> {
    limiter: &'a RateLimiter,
    /// Under which it was charged, and the revision of that.
    quota: (Quota, u64),
    key: Option<&'a K>,
}

impl<K: Key + ?Sized> Drop for Place<'_, K> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.limiter.shared.give_back(key, self.quota, 1);
        }
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

    fn give_back<K: Key + ?Sized>(&self, key: &K, (quota, revision): (Quota, u64), cost: u64) {
        let charge = self.charge(self.secret.digest(key), (&quota, revision), cost);
        self.store
            .settle(self.clock.now(), &charge, -crate::store::signed(cost));
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

/// A [`RateLimiter`] in the making.
#[must_use = "call `build` to get the limiter"]
pub struct RateLimiterBuilder {
    name: Arc<str>,
    quota: Result<Quota, ConfigError>,
    kind: Kind,
    max_keys: usize,
    overflow: Overflow,
    clock: Option<AnyClock>,
    timer: Option<Arc<dyn Sleep>>,
    secret: Option<DigestKey>,
    observer: Option<Arc<dyn for<'a> Observer<Event<'a>>>>,
    near_limit: Vec<u8>,
}

impl RateLimiterBuilder {
    /// The name under which the limiter is reported; `default` if not given.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// How the quota is spent and comes back; [`Gcra`](crate::Gcra) if not given.
    pub fn algorithm(mut self, algorithm: impl Algorithm) -> Self {
        self.kind = Kind::of(algorithm);
        self
    }

    /// For how many keys at once there is room, in 32 bytes each; 100,000 if not given. Keys whose quota
    /// is full again need none. An algorithm whose states are of more than one word makes that
    /// `16 × (words + 1)` bytes each.
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// What happens to keys beyond that; [`Overflow::Share`] if not given.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// The clock; [`TokioClock`](buttress_core::clock::TokioClock) if not given, which follows tokio's paused time.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(AnyClock::of(clock));
        self
    }

    /// The timer of those who wait for their turn; tokio's if not given.
    pub fn timer(mut self, timer: impl Sleep) -> Self {
        self.timer = Some(Arc::new(timer));
        self
    }

    /// The secret under which keys are hashed; a random one if not given.
    pub fn digest_key(mut self, secret: DigestKey) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Who hears of every decision.
    pub fn observer(mut self, observer: impl for<'a> Observer<Event<'a>>) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// At which percentages of its quota a key is [near its limit](Event::NearLimit), of which the observer
    /// is told; 50, 70 and 90 if not given, and none if given none.
    pub fn near_limit(mut self, percent: impl IntoIterator<Item = u8>) -> Self {
        self.near_limit = percent.into_iter().collect();
        self
    }

    /// The limiter.
    ///
    /// # Errors
    ///
    /// Where the quota cannot be expressed, or there is room for no key.
    pub fn build(self) -> Result<RateLimiter, ConfigError> {
        let clock = self.clock.unwrap_or_default();
        let (kind, overflow) = (self.kind, self.overflow);
        let limit = Limit::build(self.name, 0, self.quota?, kind, overflow, clock.clone())?;
        let limit = Arc::new(limit);
        let store = MemoryStore::with_room_for(std::slice::from_ref(&limit), self.max_keys)?;
        Ok(RateLimiter {
            shared: Arc::new(Shared {
                limit,
                store,
                clock,
                timer: self
                    .timer
                    .unwrap_or_else(|| Arc::new(TokioClock::starting_now())),
                secret: self.secret.unwrap_or_default(),
                watcher: Watcher::build(self.observer, &self.near_limit, self.max_keys)?,
            }),
        })
    }
}

impl fmt::Debug for RateLimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiterBuilder")
            .field("name", &self.name)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

/// Room for at least one key, and for no more than anybody has memory for.
pub(crate) fn checked_max_keys(max_keys: usize) -> Result<usize, ConfigError> {
    const MOST: usize = 1 << 28;
    if (1..=MOST).contains(&max_keys) {
        Ok(max_keys)
    } else {
        let expected = "1 to 268,435,456 keys, of 32 bytes each";
        Err(ConfigError::new("max_keys", max_keys, expected))
    }
}

pub(crate) fn too_many(keys: usize) -> ConfigError {
    ConfigError::new(
        "max_keys",
        keys,
        "as many keys as there is memory for, of 32 bytes each",
    )
}
