use std::{error::Error, fmt, time::Duration};

use crate::{Decision, decision::Verdict};

/// A request was refused; nothing was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    decision: Decision,
    cost: u64,
    burst: u64,
}

impl Refused {
    /// Under a quota of that burst.
    pub(crate) const fn under(burst: u64, decision: Decision, cost: u64) -> Self {
        Self {
            decision,
            cost,
            burst,
        }
    }

    /// After which time the same request would be admitted, exact to the nanosecond; `None` where it
    /// can never be, since it costs more than the burst.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.decision.retry_after()
    }

    /// How the quota stands.
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.decision.verdict(), self.retry_after()) {
            (Verdict::CostExceedsBurst, _) => {
                write!(
                    f,
                    "a cost of {} exceeds the burst of {}: it can never be admitted",
                    self.cost, self.burst
                )
            }
            (_, Some(wait)) => write!(f, "rate limit exceeded, retry after {wait:?}"),
            (_, None) => f.write_str("rate limit exceeded"),
        }
    }
}

impl Error for Refused {}
