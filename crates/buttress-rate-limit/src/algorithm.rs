//! The algorithms: how a quota is spent and comes back.
//!
//! Each is one file and a pure function of (state, now, cost). A new one is a new file here and a line
//! in [`Kind`].

mod fixed_window;
mod gcra;
mod leaky_bucket;
mod token_bucket;
mod window;

use std::{any::Any, fmt, sync::Arc};

use buttress_core::{ConfigError, Tick};

pub use self::{
    fixed_window::FixedWindow, gcra::Gcra, leaky_bucket::LeakyBucket, token_bucket::TokenBucket,
};
use crate::{Decision, Quota};

/// A rate limiting algorithm: pure decisions over a state of a fixed number of words.
///
/// Implement it for an algorithm of your own. Every method is a function of its arguments alone: no
/// clock, no lock, no randomness. The store calls them as often as contention makes it, and writes a
/// state only if it is still the one that was decided on.
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
pub trait Algorithm: fmt::Debug + Send + Sync + 'static {
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

    /// From when on the state can be forgotten without loss.
    fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick;

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
}

impl OneWord for dyn Algorithm {
    fn check(&self, quota: &Quota, state: u64, now: Tick, cost: u64) -> Decision {
        Algorithm::check(self, quota, &[state], now, cost)
    }

    fn charge(&self, quota: &Quota, state: u64, now: Tick, cost: i64) -> u64 {
        let mut words = [state];
        Algorithm::charge(self, quota, &mut words, now, cost);
        words[0]
    }

    fn forget_at(&self, quota: &Quota, state: u64) -> Tick {
        Algorithm::forget_at(self, quota, &[state])
    }
}

/// Nanoseconds by which the clock that a thread has read may be behind the one that a state was written
/// by: a minute, far longer than a thread is ever kept waiting between reading the clock and the state.
///
/// A state that lies further ahead of now than its algorithm leads, and by more than this, was written
/// before the clock stepped back, or under a quota of longer spans. It is taken for one never seen: since
/// a refusal changes nothing, a key would otherwise be locked out until the clock is there again.
const SKEW: u64 = 60_000_000_000;

/// Which algorithm a limit uses.
#[derive(Clone, Debug, Default)]
pub(crate) enum Kind {
    /// And whatever decides as it does: without dynamic dispatch.
    #[default]
    Gcra,
    Custom(Arc<dyn Algorithm>),
}

impl Kind {
    pub(crate) fn of(algorithm: impl Algorithm) -> Self {
        let any: &dyn Any = &algorithm;
        let is_gcra = any.is::<Gcra>()
            || any.downcast_ref().is_some_and(TokenBucket::is_gcra)
            || any.downcast_ref().is_some_and(LeakyBucket::is_gcra);
        if is_gcra {
            Self::Gcra
        } else {
            Self::Custom(Arc::new(algorithm))
        }
    }
}
