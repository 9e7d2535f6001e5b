use std::time::Duration;

use buttress_core::Random;

use super::Backoff;

/// Always the same, without jitter. Callers that fail together come back together: choose it for tests, and where
/// there is one caller.
impl Backoff for Duration {
    fn delay(&self, _retry: u32, _previous: Option<Self>, _random: &Random) -> Self {
        *self
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
