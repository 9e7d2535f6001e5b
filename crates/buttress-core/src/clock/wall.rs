#![expect(
    clippy::disallowed_methods,
    reason = "this file wraps the system's wall clock"
)]

use std::{fmt, sync::Arc, time::SystemTime};

/// A source of calendar time, for dates on the wire only. Decisions are made on a
/// [`Clock`](super::Clock).
pub trait WallClock: fmt::Debug + Send + Sync + 'static {
    /// The present date and time.
    fn now(&self) -> SystemTime;
}

/// One clock for several handles.
impl<C: WallClock + ?Sized> WallClock for Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }
}

/// The system's calendar time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemWallClock;

impl WallClock for SystemWallClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_past_the_epoch() {
        assert!(SystemWallClock.now() > SystemTime::UNIX_EPOCH);
    }
}
