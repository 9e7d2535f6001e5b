use std::{fmt, sync::Arc, time::Duration};

use buttress_core::{
    Clock, ConfigError, Observer, Random, Sleep,
    clock::{AnyClock, TokioClock},
};

use crate::{
    Backoff, Budget, Event, Exponential, Http, LayerFor,
    budget::Ratio,
    decide::{LONGEST, Spread, Terms},
    parks::Parks,
    settings::Settings,
};

/// A policy in the making: `For` says whether as a handle or as a layer.
#[must_use = "call `build`"]
pub struct RetryBuilder<For> {
    options: Options,
    pub(crate) made: For,
}

struct Options {
    name: Arc<str>,
    terms: Terms,
    max_parks: usize,
    backoff: Arc<dyn Backoff>,
    budget: Option<Budget>,
    attempt_timeout: Option<Duration>,
    total_timeout: Option<Duration>,
    tell_always: bool,
    clock: Option<AnyClock>,
    timer: Arc<dyn Sleep>,
    random: Random,
    observer: Option<Arc<dyn for<'a> Observer<Event<'a>>>>,
}

/// More attempts than anybody means.
const MOST_ATTEMPTS: u32 = 100;

/// As many upstreams can be told apart.
const MOST_PARKS: usize = 1 << 20;

impl<For> RetryBuilder<For> {
    pub(crate) fn starting_with(made: For) -> Self {
        Self {
            made,
            options: Options {
                name: "default".into(),
                terms: Terms {
                    max_attempts: 3,
                    max_wait: Duration::from_secs(60),
                    max_park: Duration::from_secs(300),
                    unhinted: Duration::from_secs(1),
                    spread: Spread {
                        fraction: 0.25,
                        at_least: Duration::from_millis(100),
                    },
                },
                max_parks: 1_000,
                backoff: Arc::new(Exponential::default()),
                budget: None,
                attempt_timeout: None,
                total_timeout: None,
                tell_always: false,
                clock: None,
                timer: Arc::new(TokioClock::default()),
                random: Random::default(),
                observer: None,
            },
        }
    }

    /// The name under which the policy is reported; `default` if not given.
    pub fn name(mut self, name: &str) -> Self {
        self.options.name = name.into();
        self
    }

    /// How often a request is sent at most, the first time included; 3 if not given, at most 100.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.options.terms.max_attempts = attempts;
        self
    }

    /// How long to wait before a retry where nobody said so: an [`Exponential`], a `Duration`, or a closure over the
    /// retry's number; exponential from 100 ms to 10 s with full jitter if not given.
    pub fn backoff(mut self, backoff: impl Backoff) -> Self {
        self.options.backoff = Arc::new(backoff);
        self
    }

    /// How many retries there may be over all calls; a fifth of the calls of the last ten seconds, and ten a second, if
    /// not given.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.options.budget = Some(budget);
        self
    }

    /// How long a call may take, all attempts and waits included; for ever if not given. No wait goes past it: where
    /// the next attempt would come too late, there is none, and the answer in hand is returned at once. It ends with the
    /// head of the answer: a body takes as long as it takes.
    pub fn total_timeout(mut self, timeout: Duration) -> Self {
        self.options.total_timeout = Some(timeout);
        self
    }

    /// The longest wait that a server may ask for; 60 s if not given. What is longer is not shortened: coming back
    /// earlier than told would be answered the same, so the answer is returned at once.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.options.terms.max_wait = wait;
        self
    }

    /// How much later than told a caller comes back, so that a crowd that was told the same does not come back as one:
    /// evenly up to this `fraction` of the wait and at least up to `at_least`; a quarter and 100 ms if not given.
    pub fn spread(mut self, fraction: f64, at_least: Duration) -> Self {
        self.options.terms.spread = Spread { fraction, at_least };
        self
    }

    /// What a "too many" that tells no time is taken for, unless the backoff is longer; 1 s if not given.
    pub fn throttled_wait(mut self, wait: Duration) -> Self {
        self.options.terms.unhinted = wait;
        self
    }

    /// The clock; [`TokioClock`] if not given, which follows tokio's paused time.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.options.clock = Some(AnyClock::of(clock));
        self
    }

    /// The source of jitter, which all calls draw from; one that differs from run to run if not given.
    pub fn random(mut self, random: Random) -> Self {
        self.options.random = random;
        self
    }

    /// Who hears of every call, retry and park.
    pub fn observer(mut self, observer: impl for<'a> Observer<Event<'a>>) -> Self {
        self.options.observer = Some(Arc::new(observer));
        self
    }

    /// Nobody is parked: who makes the attempts is not held back.
    pub(crate) fn without_parks(mut self) -> Self {
        self.options.max_parks = 0;
        self
    }

    /// The same policy for something else.
    pub(crate) fn map<Other>(self, other: impl FnOnce(For) -> Other) -> RetryBuilder<Other> {
        RetryBuilder {
            options: self.options,
            made: other(self.made),
        }
    }

    pub(crate) fn parts(self) -> Result<(Settings, For), ConfigError> {
        Ok((self.options.checked()?, self.made))
    }
}

/// What only a layer can do: it makes the attempts, waits, and holds callers back.
impl<F> RetryBuilder<LayerFor<F>> {
    /// What is waited on; tokio's timer if not given.
    pub fn timer(mut self, timer: impl Sleep) -> Self {
        self.options.timer = Arc::new(timer);
        self
    }

    /// How long each attempt may take; for ever if not given. One that takes longer is dropped, and may be repeated where
    /// that is safe. It is reckoned from the call of the service inside to the response's head, and costs an allocation for
    /// each attempt that is not answered at once.
    ///
    /// What layers further in do takes some of it: a pacing limit's attempt that waits for its turn may be over before it is sent,
    /// and a circuit breaker sees no failure, but a call that was dropped. In front of these put the timeout of an attempt
    /// below them, next to the client, and here only the [whole](Self::total_timeout).
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.options.attempt_timeout = Some(timeout);
        self
    }

    /// The longest time for which all callers are held back; 5 min if not given. After it they find out, spread, whether
    /// the upstream still means it.
    pub fn max_park(mut self, span: Duration) -> Self {
        self.options.terms.max_park = span;
        self
    }

    /// How many upstreams can be parked at once; 1,000 if not given, at most 1,048,576 of about 200 bytes each. Where
    /// there are more, those are forgotten that would be free next: they may be called again, and who waits for one of them
    /// already is not reached by lifting it. With 0 nobody is parked.
    pub fn max_parks(mut self, upstreams: usize) -> Self {
        self.options.max_parks = upstreams;
        self
    }
}

/// What only messages of HTTP can carry.
impl<P, C> RetryBuilder<LayerFor<Http<P, C>>> {
    /// Whether every request carries its [`Attempt`](crate::Attempt) and every response its
    /// [`Report`](crate::Report), also where there is nothing special to tell; false if not given.
    pub fn tell_always(mut self, tell: bool) -> Self {
        self.options.tell_always = tell;
        self
    }
}

impl Options {
    fn checked(self) -> Result<Settings, ConfigError> {
        let terms = self.terms;
        if !(1..=MOST_ATTEMPTS).contains(&terms.max_attempts) {
            return Err(ConfigError::new(
                "max_attempts",
                terms.max_attempts,
                "1 to 100",
            ));
        }
        self.backoff.check()?;
        terms.spread.check()?;
        at_most_a_year("max_wait", terms.max_wait)?;
        at_most_a_year("max_park", terms.max_park)?;
        if terms.unhinted > terms.max_wait {
            let given = format!("{:?}", terms.unhinted);
            let expected = format!("at most the longest wait, {:?}", terms.max_wait);
            return Err(ConfigError::new("throttled_wait", given, expected));
        }
        if let Some(timeout) = self.attempt_timeout {
            at_most_a_year("attempt_timeout", timeout)?;
        }
        if let Some(timeout) = self.total_timeout {
            at_most_a_year("total_timeout", timeout)?;
        }
        if self.max_parks > MOST_PARKS {
            return Err(ConfigError::new(
                "max_parks",
                self.max_parks,
                "at most 1,048,576",
            ));
        }
        let clock = self.clock.unwrap_or_default();
        let budget_on_our_clock = self.budget.is_none();
        let budget = match self.budget {
            Some(budget) => budget,
            None => {
                let ratio = Ratio::checked(0.2, 10, Duration::from_secs(10))?;
                Budget::of_ratio(ratio, clock.clone())
            }
        };
        Ok(Settings {
            name: self.name,
            parks: (self.max_parks > 0).then(|| Parks::with_room_for(self.max_parks)),
            terms,
            backoff: self.backoff,
            budget,
            budget_on_our_clock,
            attempt_timeout: self.attempt_timeout,
            total_timeout: self.total_timeout,
            tell_always: self.tell_always,
            clock,
            timer: self.timer,
            random: self.random,
            observer: self.observer,
        })
    }
}

pub(crate) fn at_most_a_year(field: &'static str, span: Duration) -> Result<(), ConfigError> {
    if span.is_zero() || span > LONGEST {
        let given = format!("{span:?}");
        return Err(ConfigError::new(
            field,
            given,
            "more than zero, at most a year",
        ));
    }
    Ok(())
}

impl<For> fmt::Debug for RetryBuilder<For> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBuilder")
            .field("name", &self.options.name)
            .field("terms", &self.options.terms)
            .finish_non_exhaustive()
    }
}
