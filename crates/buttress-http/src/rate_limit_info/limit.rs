use std::{borrow::Cow, fmt, time::Duration};

/// What a response tells of one limit: a part of it at least.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LimitInfo {
    pub(super) name: Cow<'static, str>,
    pub(super) unit: LimitUnit,
    pub(super) limit: Option<u64>,
    pub(super) remaining: Option<u64>,
    pub(super) used: Option<u64>,
    pub(super) reset: Option<Duration>,
    pub(super) window: Option<Duration>,
}

impl LimitInfo {
    /// The policy's name, as the sender or its dialect has it: `daily`, `input-tokens`. Empty where the
    /// dialect knows one limit only.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is counted.
    #[must_use]
    pub const fn unit(&self) -> LimitUnit {
        self.unit
    }

    /// How much may be had in a [window](Self::window), in its [unit](Self::unit).
    #[must_use]
    pub const fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// How much may still be had, rounded down. More than zero is no grant.
    #[must_use]
    pub const fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// How much was used.
    #[must_use]
    pub const fn used(&self) -> Option<u64> {
        self.used
    }

    /// How long until there is more. Dialects differ in how much: the first unit, the window's whole
    /// quota, or, as Anthropic has it, all that was ever taken.
    #[must_use]
    pub const fn reset(&self) -> Option<Duration> {
        self.reset
    }

    /// How long a window is.
    #[must_use]
    pub const fn window(&self) -> Option<Duration> {
        self.window
    }

    /// Does it say anything?
    pub(super) fn is_told(&self) -> bool {
        [self.limit, self.remaining, self.used]
            .iter()
            .any(Option::is_some)
            || self.reset.is_some()
    }

    /// Is nothing left of it? What remains may be untold where only the limits that are used up are
    /// told of, in a refusal.
    pub(super) fn is_used_up(&self, refused: bool) -> bool {
        match self.remaining {
            Some(remaining) => remaining == 0,
            None => refused && self.reset.is_some(),
        }
    }

    /// How long it bars the caller, being used up.
    ///
    /// A reset at once tells nothing: Azure writes 0 for what it does not know, and a caller who took it
    /// at its word would spin.
    pub(super) fn bars_for(&self) -> Option<Duration> {
        self.reset.filter(|reset| !reset.is_zero())
    }
}

/// Only what was told.
impl fmt::Debug for LimitInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("LimitInfo");
        shown.field("name", &self.name).field("unit", &self.unit);
        let numbers = [
            ("limit", self.limit),
            ("remaining", self.remaining),
            ("used", self.used),
        ];
        for (field, number) in numbers {
            if let Some(number) = number {
                shown.field(field, &number);
            }
        }
        for (field, span) in [("reset", self.reset), ("window", self.window)] {
            if let Some(span) = span {
                shown.field(field, &span);
            }
        }
        shown.finish()
    }
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitUnit {
    /// Requests, or what the sender did not name.
    #[default]
    Requests,

    /// Tokens of a language model.
    Tokens,

    /// Bytes of request content.
    ContentBytes,

    /// Requests that are in progress at the same time.
    ConcurrentRequests,
}
