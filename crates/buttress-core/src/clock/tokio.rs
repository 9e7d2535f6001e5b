#![expect(clippy::disallowed_methods, reason = "this file wraps tokio's clock")]

use tokio::time::Instant;

use super::{Clock, Tick};

/// Tokio's clock: the system's monotonic time, or tokio's paused time in tests.
///
/// Needs no runtime. Its origin is the moment of its making, so it belongs to the runtime in which it
/// was made: under `#[tokio::test(start_paused = true)]` make the limiter inside the test.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: Instant,
}

impl TokioClock {
    /// A clock whose origin is now.
    #[must_use]
    pub fn starting_now() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::starting_now()
    }
}

impl Clock for TokioClock {
    #[inline]
    fn now(&self) -> Tick {
        Tick::from_duration(Instant::now().saturating_duration_since(self.origin))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn follows_paused_time() {
        let clock = TokioClock::starting_now();
        assert_eq!(clock.now(), Tick::ZERO);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(clock.now(), Tick::from_nanos(3_000_000_000));
    }

    #[test]
    fn needs_no_runtime() {
        let clock = TokioClock::starting_now();
        assert!(clock.now() <= clock.now());
    }
}
