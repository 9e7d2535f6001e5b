use std::{fmt, time::Duration};

use buttress_core::Digest;

use crate::{Refused, Transition};

/// What an observer hears of.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The circuit breaker's name.
    pub name: &'a str,
    /// Whose circuit it is, where there is one for each key.
    pub key: Option<Digest>,
    /// What happened.
    pub happening: Happening,
}

/// What happened to a circuit.
///
/// `telemetry`, behind the features `metrics` and `tracing`, counts and logs it under the names that
/// resilience4j's users know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening {
    /// A call that was let go has ended.
    #[non_exhaustive]
    Call {
        /// How.
        kind: CallKind,
        /// Whether it was slow; never, under a rule that does not care.
        slow: bool,
        /// The time that it took to answer, where it was timed.
        took: Option<Duration>,
    },
    /// A call was refused.
    NotPermitted(Refused),
    /// The circuit changed its state.
    Transition(Transition),
    /// The upstream asked not to be called for so long, and will not be.
    Parked(Duration),
    /// There is no room for the circuit of a key, since all circuits near its place refuse calls or were switched by
    /// hand: its calls go unwatched.
    NoRoom,
}

/// How a call ended, as the circuit sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallKind {
    /// The upstream did its work.
    Successful,
    /// The upstream failed.
    Failed,
    /// The upstream asked to be left alone.
    Throttled,
    /// It says nothing about the upstream.
    Ignored,
    /// Nobody waited for its end.
    Dropped,
    /// The circuit changed its state since it was let go, or it is a probe past its deadline: what it says changes
    /// nothing any more.
    Late,
}

impl CallKind {
    /// All of them.
    pub const ALL: &'static [Self] = &Self::EACH;

    pub(crate) const EACH: [Self; 6] = [
        Self::Successful,
        Self::Failed,
        Self::Throttled,
        Self::Ignored,
        Self::Dropped,
        Self::Late,
    ];

    /// The word for a metric's label: `successful`, `failed`, `throttled`, `ignored`, `dropped`, `late`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Throttled => "throttled",
            Self::Ignored => "ignored",
            Self::Dropped => "dropped",
            Self::Late => "late",
        }
    }
}

impl fmt::Display for CallKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
