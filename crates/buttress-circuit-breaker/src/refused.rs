use std::{error, fmt, time::Duration};

use crate::State;

/// A circuit let a call not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    state: State,
    retry_after: Option<Duration>,
}

impl Refused {
    pub(crate) const fn by(state: State, retry_after: Option<Duration>) -> Self {
        Self { state, retry_after }
    }

    /// The state of the circuit. [`State::Closed`] means that it is parked: the upstream is well, and asked
    /// not to be called for a time.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// For how long calls are refused from now on, unrounded.
    ///
    /// Where the circuit is open or parked it is exact: one nanosecond before, a call is refused. While
    /// its probes are out it is a guess, of a second at most. `None` where the circuit was
    /// [opened by hand](State::ForcedOpen).
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Closed => "the upstream asked not to be called",
            State::HalfOpen => "the circuit is half open, and waits",
            State::ForcedOpen => "the circuit was opened by hand",
            _ => "the circuit is open",
        })?;
        match self.retry_after {
            Some(wait) => write!(f, ", retry after {wait:?}"),
            None => Ok(()),
        }
    }
}

impl error::Error for Refused {}

/// The error of a guarded call whose refusals are errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error<E> {
    /// The circuit let it not go.
    Refused(Refused),
    /// The call's own error.
    Inner(E),
}

impl<E> Error<E> {
    /// For how long calls are refused, see [`Refused::retry_after`].
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refused) => refused.retry_after(),
            Self::Inner(_) => None,
        }
    }

    /// The call's own error, by value.
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Refused(_) => None,
            Self::Inner(error) => Some(error),
        }
    }
}

/// So that `?` after [`try_acquire`](crate::CircuitBreaker::try_acquire) does in a function that fails as a guarded call.
impl<E> From<Refused> for Error<E> {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl<E> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            // The source says it; said here too, a report would show it twice.
            Self::Inner(_) => f.write_str("the guarded call failed"),
        }
    }
}

impl<E: error::Error + 'static> error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            // `Display` said it already.
            Self::Refused(_) => None,
            Self::Inner(error) => Some(error),
        }
    }
}
