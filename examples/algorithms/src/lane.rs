use std::time::Duration;

use buttress::{
    Quota, RateLimiter, Tick,
    clock::ManualClock,
    rate_limit::{
        Algorithm, ConfigError, FixedWindow, Gcra, LeakyBucket, Pacing, SlidingLog, SlidingWindow,
        TokenBucket,
    },
};

/// What one algorithm made of the traffic.
pub(crate) struct Lane {
    pub(crate) name: &'static str,
    /// Of each arrival: when it passed, if it did.
    pub(crate) passed: Vec<Option<Duration>>,
}

/// What each algorithm that is built in makes of `arrivals`.
pub(crate) fn all(quota: Quota, arrivals: &[Duration]) -> Result<Vec<Lane>, ConfigError> {
    let traffic = Traffic { quota, arrivals };
    let log = usize::try_from(quota.count()).unwrap_or(usize::MAX);
    let longest_wait = Duration::from_millis(1_500);
    Ok(vec![
        traffic.under("GCRA, token bucket", Gcra)?,
        traffic.under(
            "token bucket, refilled at intervals",
            TokenBucket::refilled_at_intervals(),
        )?,
        traffic.under("fixed window", FixedWindow)?,
        traffic.under("sliding window of 10", SlidingWindow::of_sub_windows(10))?,
        traffic.under("sliding log", SlidingLog::for_counts_up_to(log))?,
        traffic.under("leaky bucket as queue", LeakyBucket::as_queue())?,
        traffic.under("pacing, up to 1.5 s", Pacing::up_to(longest_wait))?,
    ])
}

struct Traffic<'a> {
    quota: Quota,
    arrivals: &'a [Duration],
}

impl Traffic<'_> {
    fn under(&self, name: &'static str, algorithm: impl Algorithm) -> Result<Lane, ConfigError> {
        let clock = ManualClock::default();
        let limiter = RateLimiter::per_key(self.quota)
            .algorithm(algorithm)
            .max_keys(1)
            .clock(clock.clone())
            .build()?;
        let fate = |arrival: &Duration| {
            clock.set(Tick::from_duration(*arrival));
            let decision = limiter.check("the caller").ok()?;
            Some(*arrival + decision.delay())
        };
        Ok(Lane {
            name,
            passed: self.arrivals.iter().map(fate).collect(),
        })
    }
}

impl Lane {
    /// How many passed, at once or after a wait.
    pub(crate) fn count(&self) -> usize {
        self.passed.iter().flatten().count()
    }

    /// The most that passed in any one `period`.
    pub(crate) fn most_in_any(&self, period: Duration) -> usize {
        let times: Vec<_> = self.passed.iter().flatten().collect();
        let within = |start: &Duration| {
            let window = *start..*start + period;
            times.iter().filter(|at| window.contains(at)).count()
        };
        times.iter().map(|start| within(start)).max().unwrap_or(0)
    }
}
