use std::{fmt, sync::Arc, time::Duration};

use buttress_core::{Clock, ConfigError, DigestKey, Observer, Random, clock::AnyClock};

use crate::{
    CircuitBreaker, CircuitBreakers, Event, OnDrop, OnThrottled, OpenFor, Trip,
    machine::Terms,
    settings::Settings,
    shared::{Keyed, Shared},
    table::Table,
};

/// A circuit breaker in the making: `For` says whether as a handle or as a layer.
#[must_use = "call `build`"]
pub struct CircuitBreakerBuilder<For = Single> {
    options: Options,
    pub(crate) made: For,
}

/// A [`CircuitBreaker`] is made.
#[derive(Clone, Copy, Debug)]
pub struct Single(());

/// [`CircuitBreakers`] are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerKey {
    max_keys: Option<usize>,
    secret: Option<DigestKey>,
}

/// The room for keys that there is unless told otherwise.
const DEFAULT_MAX_KEYS: usize = 1_000;

/// As many circuits can be told apart.
const MOST_KEYS: usize = 1 << 24;

impl PerKey {
    pub(crate) fn set_max_keys(&mut self, max_keys: usize) {
        self.max_keys = Some(max_keys);
    }

    pub(crate) fn set_secret(&mut self, secret: DigestKey) {
        self.secret = Some(secret);
    }

    pub(crate) fn keyed(self) -> Result<Keyed, ConfigError> {
        let max_keys = self.max_keys.unwrap_or(DEFAULT_MAX_KEYS);
        if !(1..=MOST_KEYS).contains(&max_keys) {
            return Err(ConfigError::new("max_keys", max_keys, "1 to 16,777,216"));
        }
        Ok(Keyed {
            table: Table::with_room_for(max_keys),
            secret: self.secret.unwrap_or_default(),
        })
    }

    /// What was said of keys, where there are none.
    pub(crate) fn unused(self) -> Result<(), ConfigError> {
        const EXPECTED: &str = "a `key` as well: without one all requests share a circuit";
        if let Some(max_keys) = self.max_keys {
            return Err(ConfigError::new("max_keys", max_keys, EXPECTED));
        }
        match self.secret {
            Some(_) => Err(ConfigError::new("digest_key", "***", EXPECTED)),
            None => Ok(()),
        }
    }
}

impl CircuitBreakerBuilder<PerKey> {
    /// For how many keys there is room; 1,000 if not given. There are twice as many places, so that no key
    /// is short of one, and a circuit is made when its place is first used: of three quarters of a kilobyte, and
    /// none is ever added after the last place.
    ///
    /// At the bound a new key takes the place of one whose circuit is closed, one that was not used lately first. A
    /// circuit that is open, half open, parked or switched by hand is not forgotten for it. Only where there is nothing
    /// else does the new key take the place of a circuit whose time to be open is over, and which nobody has called
    /// since: its next call would go anyway, as a probe. Where there is none of those, the new key's calls go unwatched,
    /// and the observer [hears](crate::Happening::NoRoom) of it.
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.made.set_max_keys(max_keys);
        self
    }

    /// The secret under which keys are hashed; a random one if not given.
    pub fn digest_key(mut self, secret: DigestKey) -> Self {
        self.made.set_secret(secret);
        self
    }

    /// The circuit breakers.
    ///
    /// # Errors
    ///
    /// As of [`CircuitBreaker`](CircuitBreakerBuilder::build), and where there is room for no key.
    pub fn build(self) -> Result<CircuitBreakers, ConfigError> {
        let (settings, made) = self.parts()?;
        Ok(CircuitBreakers::with(Shared::of(
            settings,
            Some(made.keyed()?),
        )))
    }
}

struct Options {
    name: Arc<str>,
    trip: Trip,
    open_for: OpenFor,
    probes: u32,
    probe_deadline: Duration,
    on_throttled: OnThrottled,
    on_drop: OnDrop,
    retry_after_bounds: (Duration, Duration),
    clock: Option<AnyClock>,
    random: Random,
    observer: Option<Arc<dyn for<'a> Observer<Event<'a>>>>,
}

/// A time that is more than zero and at most this can be told apart from a mistake.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// The probes of a circuit are kept one by one.
const MOST_PROBES: u32 = 1_000;

impl CircuitBreakerBuilder {
    pub(crate) fn of_one(trip: Trip) -> Self {
        Self::starting_with(trip, Single(()))
    }

    /// The circuit breaker.
    ///
    /// # Errors
    ///
    /// Where a rate is not within 0 and 1, a window is empty or needs more calls than it holds, a time is
    /// zero or longer than a year, or the number of probes is not from 1 to 1,000.
    pub fn build(self) -> Result<CircuitBreaker, ConfigError> {
        Ok(CircuitBreaker::with(Shared::of(self.settings()?, None)))
    }
}

impl<For> CircuitBreakerBuilder<For> {
    pub(crate) fn starting_with(trip: Trip, made: For) -> Self {
        Self {
            made,
            options: Options {
                name: "default".into(),
                trip,
                open_for: OpenFor::default(),
                probes: 3,
                probe_deadline: Duration::from_secs(10),
                on_throttled: OnThrottled::default(),
                on_drop: OnDrop::default(),
                retry_after_bounds: (Duration::from_secs(1), Duration::from_secs(300)),
                clock: None,
                random: Random::default(),
                observer: None,
            },
        }
    }

    /// The name under which the circuit breaker is reported; `default` if not given.
    pub fn name(mut self, name: &str) -> Self {
        self.options.name = name.into();
        self
    }

    /// For how long the circuit stays open: a `Duration`, or an [`OpenFor`]; growing from 1 s to 60 s with
    /// jitter if not given.
    pub fn open_for(mut self, open_for: impl Into<OpenFor>) -> Self {
        self.options.open_for = open_for.into();
        self
    }

    /// How many calls go through a half-open circuit, and decide by the same rates whether it closes; 3 if
    /// not given, at most 1,000. They decide as soon as the others cannot change it any more. Each takes 24 bytes of
    /// each circuit.
    pub fn probes(mut self, probes: u32) -> Self {
        self.options.probes = probes;
        self
    }

    /// How long a probe may take; 10 s if not given. One that has no answer by then counts as a failure,
    /// and what it says later is not heard, however well it is: give an upstream whose honest answers take longer a
    /// longer deadline, or its circuit stays open.
    pub fn probe_deadline(mut self, deadline: Duration) -> Self {
        self.options.probe_deadline = deadline;
        self
    }

    /// What happens when the upstream says "too many"; [`OnThrottled::Park`] if not given.
    pub fn on_throttled(mut self, on_throttled: OnThrottled) -> Self {
        self.options.on_throttled = on_throttled;
        self
    }

    /// What a call says whose end nobody waited for; [`OnDrop::Ignore`] if not given.
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.options.on_drop = on_drop;
        self
    }

    /// The least and the most that the wait which an upstream asks for is taken for, be it told by
    /// `Retry-After`, by a limit that is used up, or by gRPC's pushback; 1 s and 5 min if not given.
    pub fn retry_after_bounds(mut self, least: Duration, most: Duration) -> Self {
        self.options.retry_after_bounds = (least, most);
        self
    }

    /// The clock; [`TokioClock`](buttress_core::clock::TokioClock) if not given, which follows tokio's
    /// paused time.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.options.clock = Some(AnyClock::of(clock));
        self
    }

    /// The source of jitter; one that differs from run to run if not given.
    pub fn random(mut self, random: Random) -> Self {
        self.options.random = random;
        self
    }

    /// Who hears of every call, refusal and transition.
    pub fn observer(mut self, observer: impl for<'a> Observer<Event<'a>>) -> Self {
        self.options.observer = Some(Arc::new(observer));
        self
    }

    pub(crate) fn settings(self) -> Result<Settings, ConfigError> {
        Ok(self.parts()?.0)
    }

    pub(crate) fn parts(self) -> Result<(Settings, For), ConfigError> {
        Ok((self.options.checked()?, self.made))
    }

    /// The same circuits for something else.
    pub(crate) fn map<Other>(
        self,
        other: impl FnOnce(For) -> Other,
    ) -> CircuitBreakerBuilder<Other> {
        CircuitBreakerBuilder {
            options: self.options,
            made: other(self.made),
        }
    }
}

impl Options {
    fn checked(self) -> Result<Settings, ConfigError> {
        let trip = self.trip.checked()?;
        let open_for = self.open_for.checked()?;
        if !(1..=MOST_PROBES).contains(&self.probes) {
            return Err(ConfigError::new("probes", self.probes, "1 to 1,000"));
        }
        let deadline = self.probe_deadline;
        if deadline.is_zero() || deadline > LONGEST {
            return Err(ConfigError::new(
                "probe_deadline",
                format!("{deadline:?}"),
                "more than zero, at most a year",
            ));
        }
        let (least, most) = self.retry_after_bounds;
        if least.is_zero() || most < least || most > LONGEST {
            return Err(ConfigError::new(
                "retry_after_bounds",
                format!("{least:?} to {most:?}"),
                "a least of more than zero, and a most from that to a year",
            ));
        }
        Ok(Settings {
            name: self.name,
            slow_after: trip.slow_after(),
            rule_reads_the_clock: trip.reads_the_clock(),
            terms: Terms {
                open_for,
                random: self.random,
                probes: trip.probe_terms(self.probes, deadline),
            },
            trip,
            on_throttled: self.on_throttled,
            on_drop: self.on_drop,
            retry_after_bounds: self.retry_after_bounds,
            clock: self.clock.unwrap_or_default(),
            observer: self.observer,
        })
    }
}

impl<For> fmt::Debug for CircuitBreakerBuilder<For> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerBuilder")
            .field("name", &self.options.name)
            .field("trip", &self.options.trip)
            .finish_non_exhaustive()
    }
}
