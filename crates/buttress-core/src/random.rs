use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A shared, seedable source of randomness for spreading load. Not for secrets.
///
/// Clones draw from **one** sequence. A generator that is cloned per request, seed and all, gives every
/// request the same "random" delay, and a crowd that was refused together comes back together.
#[derive(Clone)]
pub struct Random(Arc<Mutex<fastrand::Rng>>);

impl Random {
    /// A sequence that differs from run to run.
    #[must_use]
    pub fn from_entropy() -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::new())))
    }

    /// The sequence that belongs to `seed`, the same in every run.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// A number drawn evenly from `0..=end`.
    #[must_use]
    pub fn up_to(&self, end: u64) -> u64 {
        self.draw(|rng| rng.u64(0..=end))
    }

    /// A span drawn evenly from zero to `end`, both included, in whole nanoseconds.
    #[must_use]
    pub fn duration_up_to(&self, end: Duration) -> Duration {
        let nanos = u64::try_from(end.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.up_to(nanos))
    }

    /// A number drawn evenly from `0.0..1.0`.
    #[must_use]
    pub fn unit(&self) -> f64 {
        self.draw(fastrand::Rng::f64)
    }

    fn draw<T>(&self, from: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        // A panic elsewhere cannot leave the generator half-drawn in a way that matters.
        from(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::from_entropy()
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_sequence() {
        let (one, other) = (Random::seeded(1), Random::seeded(1));
        let twin = one.clone();
        let shared: Vec<u64> = (0..4)
            .flat_map(|_| [one.up_to(u64::MAX), twin.up_to(u64::MAX)])
            .collect();
        let alone: Vec<u64> = (0..8).map(|_| other.up_to(u64::MAX)).collect();
        assert_eq!(shared, alone);
    }

    #[test]
    fn two_processes_worth_of_entropy_differ() {
        assert_ne!(
            Random::from_entropy().up_to(u64::MAX),
            Random::from_entropy().up_to(u64::MAX)
        );
    }

    #[test]
    fn stays_within_its_bounds() {
        let random = Random::seeded(3);
        assert_eq!(random.up_to(0), 0);
        assert_eq!(random.duration_up_to(Duration::ZERO), Duration::ZERO);
        assert!((0..1_000).all(|_| random.up_to(9) <= 9));
        assert!((0..1_000).all(|_| (0.0..1.0).contains(&random.unit())));
    }
}
