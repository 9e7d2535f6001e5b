//! How long to wait where the server did not say.

mod constant;
mod exponential;

use std::time::Duration;

use buttress_core::{ConfigError, Random};

pub use self::exponential::{Exponential, Jitter};

/// How long to wait before a retry. [`Exponential`], a [`Duration`] (always the same, without jitter) and a
/// closure over the retry's number are backoffs.
///
/// It is a function of its arguments: state that several calls share, a generator above all, stays outside. Closures
/// are backoffs, so it does not ask for `Debug`, which they lack.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no backoff",
    note = "a backoff is an `Exponential`, a `Duration`, a closure `Fn(u32) -> Duration` over the retry's number, or a type that implements `Backoff`"
)]
pub trait Backoff: Send + Sync + 'static {
    /// The wait before the `retry`-th retry, counted from 1. `previous` is the backoff of the retry before, where
    /// there was one.
    fn delay(&self, retry: u32, previous: Option<Duration>, random: &Random) -> Duration;

    /// Whether it can work, asked when a policy is built.
    ///
    /// # Errors
    ///
    /// The field that cannot, its value, and what was expected.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}

impl<F> Backoff for F
where
    F: Fn(u32) -> Duration + Send + Sync + 'static,
{
    fn delay(&self, retry: u32, _previous: Option<Duration>, _random: &Random) -> Duration {
        self(retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closure_is_asked_for_each_retry() {
        let linear = |retry: u32| Duration::from_millis(10) * retry;
        let random = Random::seeded(1);
        assert_eq!(linear.delay(3, None, &random), Duration::from_millis(30));
        assert_eq!(Backoff::check(&linear), Ok(()));
    }
}
