use super::{Clock, Tick};

/// The processor's time stamp counter, through the `quanta` crate.
///
/// A reading costs a fraction of the system clock's. It does not follow tokio's paused time.
#[derive(Clone, Debug)]
pub struct QuantaClock {
    clock: quanta::Clock,
    origin: u64,
}

impl QuantaClock {
    /// A clock whose origin is now. The first one in a process calibrates the counter, which may take
    /// some milliseconds.
    #[must_use]
    pub fn starting_now() -> Self {
        let clock = quanta::Clock::new();
        let origin = clock.raw();
        Self { clock, origin }
    }
}

impl Default for QuantaClock {
    fn default() -> Self {
        Self::starting_now()
    }
}

impl Clock for QuantaClock {
    #[inline]
    fn now(&self) -> Tick {
        Tick::from_nanos(self.clock.delta_as_nanos(self.origin, self.clock.raw()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_not_run_backwards() {
        let clock = QuantaClock::starting_now();
        let readings: Vec<Tick> = (0..1_000).map(|_| clock.now()).collect();
        assert!(readings.is_sorted());
    }
}
