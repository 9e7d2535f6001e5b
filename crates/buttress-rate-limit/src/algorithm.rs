//! The algorithms: how a quota is spent and comes back.
//!
//! Each is one file and a pure function of (state, now, cost). A new one is a new file here and, if it is
//! to be called without dynamic dispatch, a line in [`Kind`].

mod by_pointer;
mod by_request;
mod carry;
mod fixed_window;
mod gcra;
mod kind;
#[cfg(test)]
mod laws;
mod leaky_bucket;
mod pacing;
mod sliding_log;
mod sliding_window;
mod summary;
mod token_bucket;
mod window;

use std::{any::Any, fmt};

use buttress_core::{ConfigError, Tick};

pub(crate) use self::{
    by_request::{moved, told_quota},
    kind::{Kind, Planned},
    summary::{Summaries, Summarize},
};
pub use self::{
    fixed_window::FixedWindow, gcra::Gcra, leaky_bucket::LeakyBucket, pacing::Pacing,
    sliding_log::SlidingLog, sliding_window::SlidingWindow, token_bucket::TokenBucket,
};
use crate::{Decision, Quota, store::signed};

/// A rate limiting algorithm: pure decisions over a state of a fixed number of words.
///
/// | built in | the most it admits in any one period | words | for |
/// |---|---|---:|---|
/// | [`Gcra`] | `burst + count` | 1 | nearly everything: the default |
/// | [`TokenBucket`] | `burst + count` | 1 | the same in its own words, or refilled at intervals |
/// | [`LeakyBucket`] | `burst + count`; as a queue it passes on `1 + count` | 1 | a constant rate, by delaying |
/// | [`Pacing`] | `burst + count`, each when its turn comes | 1 | clients that wait for their turn instead of being refused |
/// | [`FixedWindow`] | `2 × count` | 1 | "100 in each minute", where that is what was agreed on |
/// | [`SlidingWindow`] of `k` sub-windows | `count` | `k + 3` | never more than the count, in little memory |
/// | [`SlidingLog`] | `count`, exactly | `count + 2` | never more than the count, and never less |
///
/// A state of one word is swapped without a lock; longer ones stand behind the lock of a shard, which the built-in ones
/// mostly do without, see [`MemoryStore`](crate::store::MemoryStore).
///
/// # Chosen when the program runs
///
/// A `Box`, an `Arc` or a `&'static` of an algorithm is one, so that a configuration file can name it. A
/// built-in one is as fast behind such a pointer as without.
///
/// ```
/// use buttress_rate_limit::{
///     Algorithm, ConfigError, FixedWindow, Gcra, RateLimiter, SlidingWindow, TokenBucket,
/// };
///
/// fn named(name: &str) -> Result<Box<dyn Algorithm>, ConfigError> {
///     Ok(match name {
///         "gcra" => Box::new(Gcra),
///         "token-bucket" => Box::new(TokenBucket::refilled_continuously()),
///         "fixed-window" => Box::new(FixedWindow),
///         "sliding-window" => Box::new(SlidingWindow::of_sub_windows(10)),
///         other => return Err(ConfigError::new("algorithm", other, "gcra, token-bucket, ..")),
///     })
/// }
///
/// let configured = "sliding-window";
/// let uploads = RateLimiter::per_key("20/h").algorithm(named(configured)?).build()?;
/// assert!(uploads.check("alice").is_ok());
/// assert!(named("leaky").is_err());
/// # Ok::<(), ConfigError>(())
/// ```
///
/// # One of your own
///
/// Every method is a function of its arguments alone: no clock, no lock, no randomness. The store calls
/// them as often as contention makes it, and writes a state only if it is still the one that was decided
/// on.
///
/// A lockout, for guessers of passwords: so many attempts, and then none until a whole period has passed
/// without one that was let through.
///
/// ```
/// use buttress_core::{Tick, clock::ManualClock};
/// use buttress_rate_limit::{Algorithm, Decision, Quota, RateLimiter};
/// use std::time::Duration;
///
/// #[derive(Debug)]
/// struct Lockout;
///
/// /// A state: when the last attempt was let through, and how many in a row.
/// impl Algorithm for Lockout {
///     fn words(&self) -> usize {
///         2
///     }
///
///     fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
///         let wait = self.wait(quota, state, now);
///         let tried = if wait.is_zero() { 0 } else { state[1] };
///         let left = quota.count().saturating_sub(tried);
///         if cost > quota.count() {
///             Decision::cost_exceeds_burst(left, Duration::ZERO, wait)
///         } else if cost > left {
///             Decision::refused(left, wait, if left == 0 { wait } else { Duration::ZERO }, wait)
///         } else {
///             let wait = if cost == 0 { wait } else { quota.period() };
///             let left = left - cost;
///             Decision::admitted(left, if left == 0 { wait } else { Duration::ZERO }, wait)
///         }
///     }
///
///     fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
///         if cost > 0 && self.wait(quota, state, now).is_zero() {
///             state.fill(0);
///         }
///         state[1] = state[1].saturating_add_signed(cost).min(quota.count());
///         if cost > 0 {
///             state[0] = state[0].max(now.as_nanos());
///         }
///     }
///
///     fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
///         if state[1] == 0 {
///             return Tick::ZERO;
///         }
///         Tick::from_nanos(state[0]).saturating_add(quota.period())
///     }
/// }
///
/// impl Lockout {
///     /// Until it begins anew. A state from further ahead was written before the clock stepped back.
///     fn wait(&self, quota: &Quota, state: &[u64], now: Tick) -> Duration {
///         let wait = self.forget_at(quota, state).saturating_duration_since(now);
///         let longest = quota.period() + Duration::from_secs(60);
///         if wait > longest { Duration::ZERO } else { wait }
///     }
/// }
///
/// let clock = ManualClock::default();
/// let logins = RateLimiter::per_key(Quota::per(3, Duration::from_secs(600)))
///     .algorithm(Lockout)
///     .clock(clock.clone())
///     .build()?;
/// let tried = (0..9).filter(|_| logins.check("mallory").is_ok()).count();
/// assert_eq!(tried, 3);
/// clock.advance(Duration::from_secs(600));
/// assert!(logins.check("mallory").is_ok());
/// clock.set(Tick::ZERO);
/// assert!(logins.check("alice").is_ok());
/// # Ok::<(), buttress_rate_limit::ConfigError>(())
/// ```
///
/// # What a state must keep to
///
/// - All words zero means: never seen. It decides as a full quota does.
/// - From [`forget_at`](Self::forget_at) on, a state decides as one that was never seen: forgetting it
///   loses nothing. Before, it is never forgotten.
/// - A state that [`charge`](Self::charge) wrote at `now` for a cost above zero has a `forget_at` later
///   than `now`.
/// - `now` may be earlier than the one that a state was written at: clocks step back, and threads read
///   them in one order and arrive in another. The lockout that follows must be bounded,
///   although a refusal changes no state: one that lies further ahead of now than charging at any time
///   within a minute could have led it decides as one never seen.
pub trait Algorithm: Any + fmt::Debug + Send + Sync {
    /// How many words a state has.
    fn words(&self) -> usize;

    /// What a request of `cost` at `now` is answered. A cost of 0 is always admitted.
    fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision;

    /// Charges `cost`, or gives back where it is negative. Never refuses: a charge beyond what is left
    /// is debt, which the algorithm bounds. Giving back never lifts a state above full.
    ///
    /// Where it gives back, `now` is when that was charged, for who knows it: an algorithm of windows gives
    /// it back to the window of that time, and to none once that one is over. For who does not, it is the
    /// present.
    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64);

    /// Decides, and charges what is admitted: [`check`](Self::check) and [`charge`](Self::charge) one after the
    /// other, in one step. A refusal leaves the state as it is.
    ///
    /// The default makes the two. An algorithm that knows from deciding what it would charge saves by its own what they
    /// both reckon; the decision and the state must be those of the two.
    #[inline]
    fn take(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: u64) -> Decision {
        let decision = self.check(quota, state, now, cost);
        if decision.is_admitted() && cost > 0 {
            self.charge(quota, state, now, signed(cost));
        }
        decision
    }

    /// From when on the state can be forgotten without loss.
    fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick;

    /// Carries a state over to another quota: at `at` the limit's quota was changed `from` one `to` another.
    /// What was used of the one is used of the other, in proportion and rounded up, so that a change
    /// gives nothing back. One that was never seen stays so.
    ///
    /// Called too where a key comes to another quota that was [resolved for a
    /// request](crate::Policy::quota_by), unless both have the same period and refill time: between such quotas a
    /// key may go to and fro at any rate, which nothing is to be rounded for.
    ///
    /// Called once for each change and state, when the state is next asked for or looked at; changes since
    /// then come one after the other. It may be called for a state that another thread has written under the
    /// old quota a moment after `at`.
    ///
    /// The default leaves the state as it is: right where it says which share is used, as some of the built-in
    /// ones do, and else what it says of the new quota is up to the algorithm.
    fn carry_over(&self, from: &Quota, to: &Quota, state: &mut [u64], at: Tick) {
        let _ = (from, to, state, at);
    }

    /// Under which time [`charge`](Self::charge) finds what was charged at `charged`, before the quota was
    /// changed at `at`. The default leaves the time as it is; algorithms of windows move it with the windows.
    fn redate(&self, from: &Quota, to: &Quota, charged: Tick, at: Tick) -> Tick {
        let _ = (from, to, at);
        charged
    }

    /// Whether `quota` is one that this algorithm can keep; asked when a limiter is built.
    ///
    /// # Errors
    ///
    /// Where it is not, or where the algorithm's own parameters cannot work: with the field, the value
    /// and what was expected. The default supports every quota.
    fn supports(&self, quota: &Quota) -> Result<(), ConfigError> {
        let _ = quota;
        Ok(())
    }

    /// The same decisions for a store that runs Lua, such as Redis. Without it a remote store takes two
    /// round trips, or refuses when it is built.
    fn lua(&self) -> Option<&'static str> {
        None
    }
}

/// An algorithm of one word, called without dynamic dispatch where it is a built-in one.
pub(crate) trait OneWord {
    fn check(&self, quota: &Quota, state: u64, now: Tick, cost: u64) -> Decision;
    fn charge(&self, quota: &Quota, state: u64, now: Tick, cost: i64) -> u64;
    fn forget_at(&self, quota: &Quota, state: u64) -> Tick;

    /// [Takes](Algorithm::take); the next state comes with the decision where the request is admitted and costs
    /// anything.
    ///
    /// The decision in place: one that is returned by way of memory, and written in parts, is waited for by whoever copies
    /// it.
    fn step(
        &self,
        quota: &Quota,
        state: u64,
        now: Tick,
        cost: u64,
        out: &mut Decision,
    ) -> Option<u64>;
}

/// An algorithm whose states are of one word.
pub(crate) struct Word<'a, A: ?Sized>(pub(crate) &'a A);

impl<A: Algorithm + ?Sized> OneWord for Word<'_, A> {
    #[inline]
    fn check(&self, quota: &Quota, state: u64, now: Tick, cost: u64) -> Decision {
        self.0.check(quota, &[state], now, cost)
    }

    #[inline]
    fn charge(&self, quota: &Quota, state: u64, now: Tick, cost: i64) -> u64 {
        let mut words = [state];
        self.0.charge(quota, &mut words, now, cost);
        words[0]
    }

    #[inline]
    fn forget_at(&self, quota: &Quota, state: u64) -> Tick {
        self.0.forget_at(quota, &[state])
    }

    #[inline]
    fn step(
        &self,
        quota: &Quota,
        state: u64,
        now: Tick,
        cost: u64,
        out: &mut Decision,
    ) -> Option<u64> {
        let mut words = [state];
        let decision = self.0.take(quota, &mut words, now, cost);
        let charged = decision.is_admitted() && cost > 0;
        *out = decision;
        charged.then_some(words[0])
    }
}

/// Nanoseconds by which the clock that a thread has read may be behind the one that a state was written
/// by: a minute, far longer than a thread is ever kept waiting between reading the clock and the state.
///
/// A state that lies further ahead of now than its algorithm leads, and by more than this, was written
/// before the clock stepped back, or under a quota of longer spans. It is taken for one never seen: since
/// a refusal changes nothing, a key would otherwise be locked out until the clock is there again.
pub(crate) const SKEW: u64 = 60_000_000_000;

/// How far ahead all that is used and as much debt lead, or two windows. Of the states of this time only those of a long
/// [queue](Pacing) are forgotten later.
#[inline]
pub(crate) fn furthest(quota: &Quota, now: Tick) -> u64 {
    // Below 2⁶⁴: a tick, two refill times of 2⁶¹ each, and a minute.
    now.as_nanos() + 2 * quota.refill_nanos() + SKEW
}

/// Whether a state that can be forgotten only [later](furthest) than one of this time was written before the clock stepped back,
/// and is as good as one never seen: the `whole` burst would pass at once.
///
/// Only of the built-in ones: what another remembers beyond that is its own affair.
#[cold]
pub(crate) fn is_of_another_time(kind: &Kind, whole: impl FnOnce() -> Decision) -> bool {
    kind.is_built_in() && whole().is_admitted_at_once()
}
