use std::{fmt, sync::Arc, time::Duration};

use buttress_core::{ConfigError, Random, jitter};

/// For how long a circuit stays open.
///
/// It is never shorter than what the upstream itself asked for, see
/// [`retry_after_bounds`](crate::CircuitBreakerBuilder::retry_after_bounds).
///
/// ```
/// use std::time::Duration;
/// use buttress_circuit_breaker::OpenFor;
///
/// // 1 s, 2 s, 4 s, 8 s, 10 s, 10 s, ..: half of each is certain, and half is up to chance.
/// let open_for = OpenFor::growing(Duration::from_secs(1), Duration::from_secs(10));
/// # let _ = open_for;
/// ```
#[derive(Clone)]
#[must_use = "it does nothing until a circuit breaker is built with it"]
pub struct OpenFor {
    kind: Kind,
    jitter: bool,
}

#[derive(Clone)]
enum Kind {
    Fixed(Duration),
    Growing { base: Duration, cap: Duration },
    By(Arc<dyn Fn(u32) -> Duration + Send + Sync>),
}

/// Longer than anybody waits: a hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

impl OpenFor {
    /// Always `span`, without jitter.
    pub const fn fixed(span: Duration) -> Self {
        Self {
            kind: Kind::Fixed(span),
            jitter: false,
        }
    }

    /// `base` at first, and twice as long each time that the circuit opens again without having been
    /// closed, at most `cap`. With equal [`jitter`]: evenly between half of that and all of it.
    pub const fn growing(base: Duration, cap: Duration) -> Self {
        Self {
            kind: Kind::Growing { base, cap },
            jitter: true,
        }
    }

    /// What `closure` returns for the n-th time, from 1, that the circuit opened since it was last closed.
    /// Without jitter.
    pub fn by(closure: impl Fn(u32) -> Duration + Send + Sync + 'static) -> Self {
        Self {
            kind: Kind::By(Arc::new(closure)),
            jitter: false,
        }
    }

    /// Whether to spread the span by equal [`jitter`]: evenly between half of it and all of it.
    pub fn with_jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }

    /// The span for the n-th time in a row, from 1.
    pub(crate) fn nth(&self, n: u32, random: &Random) -> Duration {
        let span = match &self.kind {
            Kind::Fixed(span) => *span,
            Kind::Growing { base, cap } => {
                let doublings = n.saturating_sub(1).min(31);
                base.saturating_mul(1 << doublings).min(*cap)
            }
            Kind::By(closure) => closure(n),
        };
        if self.jitter {
            jitter::equal(span, random)
        } else {
            span
        }
    }

    pub(crate) fn checked(self) -> Result<Self, ConfigError> {
        let fits = |span: Duration| !span.is_zero() && span <= LONGEST;
        match self.kind {
            Kind::Fixed(span) if !fits(span) => Err(ConfigError::new(
                "open_for",
                format!("{span:?}"),
                "more than zero and at most a hundred years",
            )),
            Kind::Growing { base, cap } if !fits(base) || !fits(cap) || cap < base => {
                Err(ConfigError::new(
                    "open_for",
                    format!("{base:?} to {cap:?}"),
                    "a base of more than zero, and a cap from that to a hundred years",
                ))
            }
            _ => Ok(self),
        }
    }
}

/// Growing from one second to a minute, as linkerd does.
impl Default for OpenFor {
    fn default() -> Self {
        Self::growing(Duration::from_secs(1), Duration::from_secs(60))
    }
}

impl From<Duration> for OpenFor {
    fn from(span: Duration) -> Self {
        Self::fixed(span)
    }
}

impl fmt::Debug for OpenFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("OpenFor");
        match &self.kind {
            Kind::Fixed(span) => debug.field("fixed", span),
            Kind::Growing { base, cap } => debug.field("base", base).field("cap", cap),
            Kind::By(_) => debug.field("by", &"a closure"),
        };
        debug.field("jitter", &self.jitter).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn grows_up_to_its_cap() {
        let random = Random::seeded(1);
        let open_for = OpenFor::growing(secs(3), secs(20)).with_jitter(false);
        let spans = [1, 2, 3, 4, 5, 100, u32::MAX].map(|n| open_for.nth(n, &random).as_secs());
        assert_eq!(spans, [3, 6, 12, 20, 20, 20, 20]);
        assert_eq!(OpenFor::fixed(secs(7)).nth(9, &random), secs(7));
        let by = OpenFor::by(|n| secs(n.into()));
        assert_eq!(by.nth(4, &random), secs(4));
    }

    #[test]
    fn jitter_stays_below_the_cap_and_fills_the_upper_half() {
        let random = Random::seeded(2);
        let open_for = OpenFor::growing(secs(1), secs(8));
        let spans: Vec<_> = (0..1_000).map(|_| open_for.nth(9, &random)).collect();
        assert!(spans.iter().all(|span| (secs(4)..=secs(8)).contains(span)));
        assert!(
            spans
                .iter()
                .any(|span| *span < Duration::from_millis(4_100))
        );
        assert!(
            spans
                .iter()
                .any(|span| *span > Duration::from_millis(7_900))
        );
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        for wrong in [
            OpenFor::fixed(Duration::ZERO),
            OpenFor::fixed(Duration::MAX),
            OpenFor::growing(Duration::ZERO, secs(1)),
            OpenFor::growing(secs(2), secs(1)),
        ] {
            let error = wrong.checked().unwrap_err();
            assert_eq!(error.field(), "open_for");
        }
        assert!(OpenFor::default().checked().is_ok());
    }
}
