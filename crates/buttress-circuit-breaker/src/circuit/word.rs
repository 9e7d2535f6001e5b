use crate::State;

/// A state, whether the circuit is parked, and a generation, in one word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    const STATE: u64 = 0b0111;
    const PARKED: u64 = 0b1000;
    const GENERATION: u32 = 4;

    pub(super) fn of(state: State, parked: bool, generation: u64) -> Self {
        let state = match state {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
            State::Disabled => 3,
            State::ForcedOpen => 4,
            State::MetricsOnly => 5,
        };
        let parked = if parked { Self::PARKED } else { 0 };
        Self((generation << Self::GENERATION) | parked | state)
    }

    /// Whether a call may go without further questions.
    #[inline]
    pub(super) const fn is_closed_and_free(self) -> bool {
        self.0 & (Self::STATE | Self::PARKED) == 0
    }

    pub(super) const fn state(self) -> State {
        match self.0 & Self::STATE {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            3 => State::Disabled,
            4 => State::ForcedOpen,
            _ => State::MetricsOnly,
        }
    }

    pub(super) const fn is_parked(self) -> bool {
        self.0 & Self::PARKED != 0
    }

    #[inline]
    pub(super) const fn generation(self) -> u64 {
        self.0 >> Self::GENERATION
    }
}
