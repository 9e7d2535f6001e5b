//! When a closed circuit opens.

mod consecutive;
mod counts;
mod rates;
mod ring;
mod window;

use std::{fmt, sync::Arc, time::Duration};

use buttress_core::{ConfigError, Tick};

pub(crate) use self::counts::Counts;
pub use self::rates::RateTrip;
use self::{consecutive::Consecutive, rates::Rates};
use crate::{Reason, machine::ProbeTerms};

/// When a closed circuit opens: by [the rate of failures](Self::over_time) or of slow calls, by
/// [failures in a row](Self::consecutive_failures), or by a [rule of your own](Self::custom).
#[derive(Clone)]
#[must_use = "it does nothing until a circuit breaker is built with it"]
pub struct Trip(Kind);

#[derive(Clone)]
enum Kind {
    Rates(RateTrip),
    Consecutive(u32),
    Custom(Arc<dyn Fn() -> Box<dyn TripRule> + Send + Sync>),
}

impl Trip {
    /// By rates over the calls of the last `span`, as resilience4j's `TIME_BASED` window.
    pub const fn over_time(span: Duration) -> RateTrip {
        RateTrip::over_time(span)
    }

    /// By rates over the last `calls` calls, as resilience4j's `COUNT_BASED` window.
    pub const fn over_calls(calls: u32) -> RateTrip {
        RateTrip::over_calls(calls)
    }

    /// Opens when `failures` calls in a row failed, as linkerd and Finagle do. A success begins the row anew; one failing probe opens
    /// the circuit again.
    pub const fn consecutive_failures(failures: u32) -> Self {
        Self(Kind::Consecutive(failures))
    }

    /// By a rule of your own: `closure` makes its state, once for each circuit. One failing probe opens
    /// the circuit again.
    pub fn custom<R: TripRule>(closure: impl Fn() -> R + Send + Sync + 'static) -> Self {
        Self(Kind::Custom(Arc::new(move || Box::new(closure()))))
    }

    /// The state of the rule for one circuit. It was [checked](Self::checked) before.
    pub(crate) fn rule(&self) -> Rule {
        match &self.0 {
            Kind::Rates(trip) => Rule::Rates(Box::new(Rates::starting_with(trip))),
            Kind::Consecutive(failures) => Rule::Consecutive(Consecutive::of(*failures)),
            Kind::Custom(closure) => Rule::Custom(closure()),
        }
    }

    pub(crate) fn checked(self) -> Result<Self, ConfigError> {
        match &self.0 {
            Kind::Rates(trip) => trip.check()?,
            Kind::Consecutive(0) => {
                return Err(ConfigError::new("consecutive_failures", 0, "at least 1"));
            }
            Kind::Consecutive(_) | Kind::Custom(_) => {}
        }
        Ok(self)
    }

    /// Which calls are slow, if that matters.
    pub(crate) fn slow_after(&self) -> Option<Duration> {
        match &self.0 {
            Kind::Rates(trip) => trip.slow_after(),
            Kind::Consecutive(_) | Kind::Custom(_) => None,
        }
    }

    /// Whether the rule asks for the time when a call ends.
    pub(crate) fn reads_the_clock(&self) -> bool {
        match &self.0 {
            Kind::Rates(trip) => trip.is_over_time(),
            Kind::Consecutive(_) => false,
            Kind::Custom(_) => true,
        }
    }

    /// How bad `count` probes may be, by the same rates.
    pub(crate) fn probe_terms(&self, count: u32, deadline: Duration) -> ProbeTerms {
        let (failures, slow) = match &self.0 {
            Kind::Rates(trip) => trip.of_probes(count),
            Kind::Consecutive(_) | Kind::Custom(_) => (1, u32::MAX),
        };
        ProbeTerms {
            count,
            deadline,
            failures,
            slow,
        }
    }
}

impl fmt::Debug for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Rates(trip) => trip.fmt(f),
            Kind::Consecutive(failures) => f
                .debug_tuple("ConsecutiveFailures")
                .field(failures)
                .finish(),
            Kind::Custom(_) => f.write_str("Custom"),
        }
    }
}

impl From<RateTrip> for Trip {
    fn from(trip: RateTrip) -> Self {
        Self(Kind::Rates(trip))
    }
}

/// A rule of your own: the state of one circuit, asked after every call that says something.
///
/// It is called from many threads at once, on the request's own path.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use buttress_circuit_breaker::{Call, CircuitBreaker, Trip, TripRule};
/// use buttress_core::Outcome;
///
/// /// Opens at the third failure since the circuit was closed, whatever lies between them.
/// #[derive(Debug, Default)]
/// struct ThreeStrikes(AtomicU32);
///
/// impl TripRule for ThreeStrikes {
///     fn record(&self, call: &Call) -> bool {
///         call.failed && self.0.fetch_add(1, Ordering::Relaxed) >= 2
///     }
///     fn reset(&self) {
///         self.0.store(0, Ordering::Relaxed);
///     }
/// }
///
/// let circuit = CircuitBreaker::on(Trip::custom(ThreeStrikes::default)).build()?;
/// for outcome in [Outcome::Failure, Outcome::Success, Outcome::Failure, Outcome::Failure] {
///     circuit.try_acquire()?.record(outcome);
/// }
/// assert!(circuit.try_acquire().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait TripRule: fmt::Debug + Send + Sync + 'static {
    /// Counts `call`, and tells whether the circuit opens.
    fn record(&self, call: &Call) -> bool;

    /// Begins anew: the circuit was closed.
    fn reset(&self);
}

/// A call that ended, as a rule sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// Whether the upstream failed.
    pub failed: bool,
    /// Whether it was slow, under the rule that says what slow is.
    pub slow: bool,
    /// When its outcome was recorded; [`Tick::ZERO`] under a rule that does not need the time.
    pub at: Tick,
}

impl Call {
    /// A call that was not slow, with an outcome that was recorded at `at`: to try a rule without a circuit.
    #[must_use]
    pub const fn new(failed: bool, at: Tick) -> Self {
        Self {
            failed,
            slow: false,
            at,
        }
    }
}

/// The state of a rule.
#[derive(Debug)]
pub(crate) enum Rule {
    Rates(Box<Rates>),
    Consecutive(Consecutive),
    Custom(Box<dyn TripRule>),
}

impl Rule {
    /// Counts `call`, and tells why the circuit should open, if it should. Without a lock.
    #[inline]
    pub(crate) fn record(&self, call: Call) -> Option<Reason> {
        match self {
            Self::Rates(rates) => rates.record(call),
            Self::Consecutive(row) => row.record(call),
            Self::Custom(rule) => rule.record(&call).then_some(Reason::Rule),
        }
    }

    /// Whether it should still open, by exact counts: those that [`record`](Self::record) saw may have
    /// been changing.
    pub(crate) fn confirm(&self, reason: Reason) -> Option<Reason> {
        match self {
            Self::Rates(rates) => rates.confirm(),
            Self::Consecutive(row) => row.confirm(),
            Self::Custom(_) => Some(reason),
        }
    }

    /// Begins anew: the circuit was closed.
    pub(crate) fn reset(&self) {
        match self {
            Self::Rates(rates) => rates.reset(),
            Self::Consecutive(row) => row.reset(),
            Self::Custom(rule) => rule.reset(),
        }
    }

    /// The calls that it reckons with at `now`. Of a row only the failures are known, of a user's rule
    /// nothing is.
    pub(crate) fn counts(&self, now: Tick) -> Counts {
        match self {
            Self::Rates(rates) => rates.counts(now),
            Self::Consecutive(row) => row.counts(),
            Self::Custom(_) => Counts::default(),
        }
    }
}
