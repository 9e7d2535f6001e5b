use std::{any::Any, sync::Arc};

#[cfg(feature = "quanta")]
use super::QuantaClock;
use super::{Clock, Tick, TokioClock};

/// A clock whose type is not spelt: what a handle keeps, so that its users need no type parameter.
///
/// The clocks of this crate are read without dynamic dispatch, which costs a check a tenth of its time.
/// Clones tell the same time.
#[derive(Clone, Debug)]
pub struct AnyClock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Tokio(TokioClock),
    #[cfg(feature = "quanta")]
    Quanta(QuantaClock),
    Other(Arc<dyn Clock>),
}

impl AnyClock {
    /// Forgets the type of `clock`.
    #[must_use]
    pub fn of(clock: impl Clock) -> Self {
        let any: &dyn Any = &clock;
        if let Some(tokio) = any.downcast_ref() {
            return Self(Kind::Tokio(TokioClock::clone(tokio)));
        }
        #[cfg(feature = "quanta")]
        if let Some(quanta) = any.downcast_ref() {
            return Self(Kind::Quanta(QuantaClock::clone(quanta)));
        }
        if let Some(same) = any.downcast_ref() {
            return Self::clone(same);
        }
        Self(Kind::Other(Arc::new(clock)))
    }
}

impl Default for AnyClock {
    /// [`TokioClock`], starting now.
    fn default() -> Self {
        Self(Kind::Tokio(TokioClock::starting_now()))
    }
}

impl Clock for AnyClock {
    #[inline]
    fn now(&self) -> Tick {
        match &self.0 {
            Kind::Tokio(clock) => clock.now(),
            #[cfg(feature = "quanta")]
            Kind::Quanta(clock) => clock.now(),
            Kind::Other(clock) => clock.now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_clock_of_somebody_elses_is_asked() {
        let manual = ManualClock::at(Tick::from_nanos(7));
        let any = AnyClock::of(AnyClock::of(manual.clone()));
        manual.advance(Duration::from_nanos(1));
        assert_eq!(any.now(), Tick::from_nanos(8));
    }

    #[tokio::test(start_paused = true)]
    async fn the_default_follows_paused_time() {
        let any = AnyClock::default();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(any.now(), Tick::from_nanos(3_000_000_000));
    }

    #[cfg(feature = "quanta")]
    #[test]
    fn keeps_the_origin_of_the_clock_it_was_made_of() {
        let quanta = QuantaClock::starting_now();
        let earlier = quanta.now();
        let any = AnyClock::of(quanta.clone());
        let between = any.now();
        assert!(earlier <= between && between <= quanta.now());
    }
}
