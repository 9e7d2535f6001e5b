//! The algorithms: how a quota is spent and comes back.
//!
//! Each is one file and a pure function of (state, now, cost). A new one is a new file here and a line
//! in [`Kind`].

mod gcra;

use std::{fmt, sync::Arc};

use buttress_core::Tick;

pub use self::gcra::Gcra;
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
///   them in one order and arrive in another. The lockout that follows must be bounded.
pub trait Algorithm: fmt::Debug + Send + Sync + 'static {
    /// How many words a state has.
    fn words(&self) -> usize;

    /// What a request of `cost` at `now` is answered. A cost of 0 is always admitted.
    fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision;

    /// Charges `cost`, or gives back where it is negative. Never refuses: a charge beyond what is left
    /// is debt, which the algorithm bounds. Giving back never lifts a state above full.
    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64);

    /// From when on the state can be forgotten without loss.
    fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick;

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

/// Which algorithm a limit uses.
#[derive(Clone, Debug, Default)]
pub(crate) enum Kind {
    #[default]
    Gcra,
    Custom(Arc<dyn Algorithm>),
}
