use std::time::Duration;

use buttress_core::{Random, jitter};

use super::Spread;

/// For how long to wait: `at_least`, and where others were told the same, some time more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) at_least: Duration,
    spread: Duration,
}

impl Wait {
    /// One's own, to which others have no part.
    pub(super) const fn own(backoff: Duration) -> Self {
        Self {
            at_least: backoff,
            spread: Duration::ZERO,
        }
    }

    /// What others may have been told as well.
    pub(super) fn told(wait: Duration, spread: Spread) -> Self {
        Self {
            at_least: wait,
            spread: spread.over(wait),
        }
    }

    /// With the jitter, which leaves half of the time that is left to the attempt.
    pub(super) fn draw(self, left: Duration, random: &Random) -> Duration {
        if self.spread.is_zero() {
            return self.at_least;
        }
        let room = left.saturating_sub(self.at_least) / 2;
        jitter::added(self.at_least, self.spread.min(room), random)
    }
}
