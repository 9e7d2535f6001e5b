use std::fmt;

use buttress_core::ConfigError;

use crate::sync::{AtomicU64, Ordering};

/// The unit of tokens: gRPC's ratio has three decimals.
const TOKEN: u64 = 1_000;

/// gRPC's `retryThrottling` (proposal A6).
pub(crate) struct Throttling {
    most: u64,
    ratio: u64,
    tokens: AtomicU64,
}

impl Throttling {
    pub(crate) fn checked(max_tokens: u32, token_ratio: f64) -> Result<Self, ConfigError> {
        if !(1..=1_000).contains(&max_tokens) {
            return Err(ConfigError::new("max_tokens", max_tokens, "1 to 1000"));
        }
        let ratio = token_ratio * TOKEN as f64;
        if !(0.5..=1_000_000.0).contains(&ratio) {
            return Err(ConfigError::new(
                "token_ratio",
                token_ratio,
                "0.001 to 1000",
            ));
        }
        let most = u64::from(max_tokens) * TOKEN;
        Ok(Self {
            most,
            ratio: ratio.round() as u64,
            tokens: AtomicU64::new(most),
        })
    }

    #[inline]
    pub(crate) fn succeeded(&self) {
        // Mostly it is full.
        if self.tokens.load(Ordering::Relaxed) < self.most {
            self.change(|tokens| (tokens + self.ratio).min(self.most));
        }
    }

    pub(crate) fn failed(&self) {
        self.change(|tokens| tokens.saturating_sub(TOKEN));
    }

    pub(crate) fn allows(&self) -> bool {
        self.tokens.load(Ordering::Relaxed) > self.most / 2
    }

    fn change(&self, to: impl Fn(u64) -> u64) {
        let _ = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                Some(to(tokens))
            });
    }
}

impl fmt::Debug for Throttling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttling")
            .field("max_tokens", &(self.most / TOKEN))
            .field("token_ratio", &(self.ratio as f64 / TOKEN as f64))
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// The example of proposal A6: of ten tokens, a retry while there are more than five.
    #[test]
    fn retries_go_while_most_calls_succeed() {
        let throttling = Throttling::checked(10, 0.1).unwrap();
        for _ in 0..4 {
            throttling.failed();
            assert!(throttling.allows());
        }
        throttling.failed();
        assert!(!throttling.allows(), "five of ten are not more than half");
        throttling.succeeded();
        assert!(throttling.allows(), "5.1 are");
    }

    #[test]
    fn tokens_are_neither_fewer_than_none_nor_more_than_at_the_start() {
        let throttling = Throttling::checked(2, 1.0).unwrap();
        (0..10).for_each(|_| throttling.failed());
        throttling.succeeded();
        assert!(!throttling.allows());
        throttling.succeeded();
        assert!(throttling.allows());
        (0..10).for_each(|_| throttling.succeeded());
        throttling.failed();
        assert!(!throttling.allows());
    }

    #[test]
    fn what_cannot_work_is_found() {
        let field = |max, ratio| {
            Throttling::checked(max, ratio)
                .map_err(|error| error.field())
                .err()
        };
        assert_eq!(field(0, 0.1), Some("max_tokens"));
        assert_eq!(field(1_001, 0.1), Some("max_tokens"));
        for ratio in [0.0, -1.0, 0.000_4, 1_001.0, f64::NAN] {
            assert_eq!(field(10, ratio), Some("token_ratio"), "{ratio}");
        }
        assert_eq!(field(1_000, 0.001), None);
    }
}
