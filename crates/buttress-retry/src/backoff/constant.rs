use std::time::Duration;

use buttress_core::{ConfigError, Random};

use super::Backoff;
use crate::decide::LONGEST;

/// Always the same, without jitter. Callers that fail together come back together: choose it for tests, and where
/// there is one caller.
impl Backoff for Duration {
    fn delay(&self, _retry: u32, _previous: Option<Self>, _random: &Random) -> Self {
        *self
    }

    fn check(&self) -> Result<(), ConfigError> {
        if *self > LONGEST {
            let given = format!("{self:?}");
            return Err(ConfigError::new("backoff", given, "at most a year"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_constant() {
        let backoff = Duration::from_millis(5);
        let random = Random::seeded(1);
        for retry in [1, 2, u32::MAX] {
            assert_eq!(backoff.delay(retry, Some(Duration::MAX), &random), backoff);
        }
    }
}
