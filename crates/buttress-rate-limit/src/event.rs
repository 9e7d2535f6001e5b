use std::time::Duration;

use buttress_core::ConfigError;

use crate::{Decision, Limit};

/// What an observer hears of.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A limit admitted a request, and was charged.
    #[non_exhaustive]
    Admitted {
        /// The limit's name.
        limit: &'a str,
        /// What the request cost.
        cost: u64,
        /// How the quota then stands.
        decision: &'a Decision,
    },
    /// A request that was admitted waits for its turn, see [`Decision::delay`].
    #[non_exhaustive]
    Queued {
        /// The name of the limit that delays it, of several the one with the longest delay.
        limit: &'a str,
        /// For how long.
        wait: Duration,
    },
    /// A request that waited waits no more: its turn has come, or it was given up. Told once for each
    /// [`Queued`](Self::Queued).
    #[non_exhaustive]
    Dequeued {
        /// The limit's name.
        limit: &'a str,
    },
    /// A limit refused a request; no limit was charged.
    #[non_exhaustive]
    Refused {
        /// The limit's name.
        limit: &'a str,
        /// What the request would have cost.
        cost: u64,
        /// How the quota stands.
        decision: &'a Decision,
    },
    /// A limit in shadow mode would have refused a request, which passed. It was not charged.
    #[non_exhaustive]
    WouldRefuse {
        /// The limit's name.
        limit: &'a str,
        /// What the request would have cost.
        cost: u64,
        /// How the quota stands.
        decision: &'a Decision,
    },
    /// A request that was admitted has brought its key's use of a quota to a threshold. Told once per
    /// crossing, and again only after the use has fallen ten percentage points below.
    #[non_exhaustive]
    NearLimit {
        /// The limit's name.
        limit: &'a str,
        /// The threshold, in percent of the burst; the highest of those that were crossed at once.
        percent: u8,
        /// How the quota stands.
        decision: &'a Decision,
    },
    /// A request was refused whatever the limits say: [`Access::Deny`](crate::Access::Deny).
    Denied,
    /// The quota that was [resolved](crate::Policy::quota_by) for a request is none that the limit's algorithm
    /// supports: the limit's own was kept instead.
    #[non_exhaustive]
    UnsupportedQuota {
        /// The limit's name.
        limit: &'a str,
        /// What is wrong with it.
        error: &'a ConfigError,
    },
    /// A request had no key for a limit.
    #[non_exhaustive]
    MissingKey {
        /// The limit's name.
        limit: &'a str,
        /// What the extractor said.
        why: &'a str,
    },
}

impl<'a> Event<'a> {
    /// The name of the limit that it is about; empty where a request was [denied](Self::Denied), which is about none.
    #[must_use]
    pub const fn limit(&self) -> &'a str {
        match *self {
            Self::Admitted { limit, .. }
            | Self::Queued { limit, .. }
            | Self::Dequeued { limit }
            | Self::Refused { limit, .. }
            | Self::WouldRefuse { limit, .. }
            | Self::NearLimit { limit, .. }
            | Self::UnsupportedQuota { limit, .. }
            | Self::MissingKey { limit, .. } => limit,
            Self::Denied => "",
        }
    }

    #[inline]
    pub(crate) fn decided(limit: &'a Limit, cost: u64, decision: &'a Decision) -> Self {
        let name = limit.name();
        if decision.is_admitted() {
            Event::Admitted {
                limit: name,
                cost,
                decision,
            }
        } else {
            Event::Refused {
                limit: name,
                cost,
                decision,
            }
        }
    }

    pub(crate) fn shadowed(limit: &'a Limit, cost: u64, decision: &'a Decision) -> Self {
        match Self::decided(limit, cost, decision) {
            Event::Refused {
                limit,
                cost,
                decision,
            } => Event::WouldRefuse {
                limit,
                cost,
                decision,
            },
            event => event,
        }
    }
}
