use std::time::Duration;

use buttress_core::ConfigError;

/// The longest time that anything can be set to.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// What a policy allows.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) max_attempts: u32,
    /// The longest wait that somebody else may ask for.
    pub(crate) max_wait: Duration,
    /// The longest time for which the others are held back.
    pub(crate) max_park: Duration,
    /// What a "too many" that tells no time is taken for, at least.
    pub(crate) unhinted: Duration,
    pub(crate) spread: Spread,
}

/// How much later than told: a fraction of the wait, and at least a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) fraction: f64,
    pub(crate) at_least: Duration,
}

impl Spread {
    /// Jitter is added up to this.
    pub(super) fn over(self, wait: Duration) -> Duration {
        let share = wait.as_secs_f64() * self.fraction;
        let share = Duration::try_from_secs_f64(share).unwrap_or(Duration::MAX);
        share.max(self.at_least)
    }

    pub(crate) fn check(self) -> Result<(), ConfigError> {
        if !(0.0..=10.0).contains(&self.fraction) {
            let expected = "a fraction from 0 to 10";
            return Err(ConfigError::new("spread", self.fraction, expected));
        }
        if self.at_least > LONGEST {
            let given = format!("{:?}", self.at_least);
            return Err(ConfigError::new("spread", given, "at most a year"));
        }
        Ok(())
    }
}

/// Those of the tests of decisions.
#[cfg(test)]
pub(super) const TERMS: Terms = Terms {
    max_attempts: 3,
    max_wait: Duration::from_secs(60),
    max_park: Duration::from_secs(300),
    unhinted: Duration::from_secs(1),
    spread: Spread {
        fraction: 0.25,
        at_least: Duration::from_millis(100),
    },
};
