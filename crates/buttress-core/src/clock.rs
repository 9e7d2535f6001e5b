//! Time that comes in from outside.
//!
//! Every decision in Buttress is a function of a [`Tick`]: whole nanoseconds since an origin that the
//! [`Clock`] chose. Ticks of two clocks are not comparable.
//!
//! | clock | reads | when |
//! |---|---|---|
//! | [`TokioClock`] | tokio's clock, which a test may pause | the default |
//! | `QuantaClock` (feature `quanta`) | the processor's time stamp counter | when a reading's cost shows |
//! | [`ManualClock`] | what the test set | unit tests |

mod any;
mod manual;
#[cfg(feature = "quanta")]
mod quanta;
mod sleep;
mod tick;
mod tokio;
mod wall;

use std::{fmt, sync::Arc};

#[cfg(feature = "quanta")]
pub use self::quanta::QuantaClock;
pub use self::{
    any::AnyClock,
    manual::ManualClock,
    sleep::{Sleep, Sleeping},
    tick::Tick,
    tokio::TokioClock,
    wall::{SystemWallClock, WallClock},
};

/// A source of monotonic time.
///
/// A clock that steps back is not an error: the layers answer as if the time between had not passed,
/// and are right again once it has.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present, as time since this clock's origin.
    fn now(&self) -> Tick;
}

/// One clock for several handles.
impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Tick {
        (**self).now()
    }
}
