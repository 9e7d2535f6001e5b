use std::fmt;

/// The state of a circuit. The names are resilience4j's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Calls go through and are counted.
    Closed,
    /// Calls are refused until a time.
    Open,
    /// A bounded number of probes goes through; they decide what is next.
    HalfOpen,
    /// By hand: calls go through, and nothing is counted.
    Disabled,
    /// By hand: calls are refused until somebody says otherwise.
    ForcedOpen,
    /// By hand: calls go through and are counted, and nothing opens the circuit.
    MetricsOnly,
}

impl State {
    /// All of them, for a gauge that is 1 for the present state and 0 for the others.
    pub const ALL: &'static [Self] = &Self::EACH;

    pub(crate) const EACH: [Self; 6] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::Disabled,
        Self::ForcedOpen,
        Self::MetricsOnly,
    ];

    /// The name, as resilience4j writes it in its metrics: `closed`, `open`, `half_open`, `disabled`,
    /// `forced_open`, `metrics_only`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Disabled => "disabled",
            Self::ForcedOpen => "forced_open",
            Self::MetricsOnly => "metrics_only",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One change of a circuit's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// The state that was left.
    pub from: State,
    /// The state that was entered.
    pub to: State,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} => {}: {}", self.from, self.to, self.reason)
    }
}

/// Why a circuit changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The share of calls that failed reached its threshold.
    FailureRate,
    /// The share of calls that were slow reached its threshold.
    SlowCallRate,
    /// So many calls failed in a row.
    ConsecutiveFailures,
    /// A rule of the user's said so.
    Rule,
    /// The time to be open is over.
    TimeIsUp,
    /// The probes went well.
    ProbesSucceeded,
    /// The probes failed, were slow, or did not answer before their deadline.
    ProbesFailed,
    /// Somebody said so.
    ByHand,
    /// A circuit whose time to be open was over went without a call, and made room for that of another key.
    Forgotten,
}

impl Reason {
    /// The reason in a word, for a label of a metric: `failure_rate`, `slow_call_rate`,
    /// `consecutive_failures`, `rule`, `time_is_up`, `probes_succeeded`, `probes_failed`, `by_hand`, `forgotten`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FailureRate => "failure_rate",
            Self::SlowCallRate => "slow_call_rate",
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::Rule => "rule",
            Self::TimeIsUp => "time_is_up",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::ProbesFailed => "probes_failed",
            Self::ByHand => "by_hand",
            Self::Forgotten => "forgotten",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
