use std::time::Duration;

/// What a refusal means, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Verdict {
    /// Why the call was refused.
    pub cause: Cause,

    /// What to do.
    pub advice: Advice,
}

/// Why a call was refused: which 429 it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The caller came too fast: a matter of a minute at most.
    Burst,

    /// The caller used up the quota of a window that is longer than a minute.
    Window,

    /// The caller used up what was paid for: no wait refills it.
    Billing,

    /// The request by itself asks for more than its limit ever gives: a smaller one would pass, and no wait
    /// helps this one.
    TooLarge,

    /// The provider, or an upstream of the provider, is overloaded: nothing that the caller did.
    Overload,

    /// The refusal does not say.
    Unknown,
}

/// What to do about a refusal. The waits are the sender's word, without jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// The same again after this time; `None` where the sender did not say how long that is.
    RetryAfter(Option<Duration>),

    /// Nothing: the same request will be refused again.
    GiveUp,

    /// Another upstream at once; or, who has no other, this one after this time.
    GoElsewhere(Option<Duration>),
}

/// A burst is over after a minute; who waits longer waits for a window.
const LONGEST_BURST: Duration = Duration::from_secs(60);

impl Cause {
    /// By how long the caller is kept out, where nothing better is known.
    pub(super) fn of_wait(wait: Option<Duration>, window: Option<Duration>) -> Self {
        match window.or(wait) {
            Some(span) if span > LONGEST_BURST => Self::Window,
            Some(_) => Self::Burst,
            None => Self::Unknown,
        }
    }

    pub(super) const fn advice(self, wait: Option<Duration>) -> Advice {
        match self {
            Self::Billing | Self::TooLarge => Advice::GiveUp,
            Self::Overload => Advice::GoElsewhere(wait),
            Self::Burst | Self::Window | Self::Unknown => Advice::RetryAfter(wait),
        }
    }
}
