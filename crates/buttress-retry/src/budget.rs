//! How many retries there may be, over all calls.

mod parts;
mod ratio;
mod throttling;

use std::{fmt, sync::Arc, time::Duration};

use buttress_core::{Clock, ConfigError, Tick, clock::AnyClock};

pub(crate) use self::ratio::Ratio;
use self::throttling::Throttling;

/// How many retries there may be: shared by all calls of a policy, and by all policies that are given a clone.
///
/// Without one, retries multiply the load on an upstream that is down already: three attempts of everybody are three
/// times the load, and three layers that each make three are 27 times.
///
/// | | a retry is allowed |
/// |---|---|
/// | [`Budget::ratio`] | for a share of all calls, and a few a second: the default, of 0.2 and ten |
/// | [`Budget::throttling`] | while most calls succeed: gRPC's |
/// | [`Budget::by`] | by a rule of yours |
/// | [`Budget::unlimited`] | always |
///
/// Without a layer it is used by hand:
///
/// ```
/// use buttress_retry::Budget;
///
/// let budget = Budget::ratio(0.1).per_second(0).build()?;
/// for _ in 0..10 {
///     budget.called();
/// }
/// assert!(budget.try_retry());
/// assert!(!budget.try_retry(), "one retry for ten calls");
/// # Ok::<(), buttress_retry::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Budget {
    kind: Kind,
    clock: AnyClock,
}

#[derive(Clone)]
enum Kind {
    Ratio(Arc<Ratio>),
    Throttling(Arc<Throttling>),
    By(Arc<dyn BudgetRule>),
    Unlimited,
}

/// A rule of your own for [`Budget::by`].
pub trait BudgetRule: fmt::Debug + Send + Sync + 'static {
    /// A call begins; its retries are not calls.
    fn called(&self) {}

    /// A call succeeded, at the first attempt or later.
    fn succeeded(&self) {}

    /// An attempt failed in a way that a retry may mend.
    fn failed(&self) {}

    /// May there be a retry? If so, it is charged.
    fn try_retry(&self) -> bool;

    /// A retry that was charged was not made after all: its caller left, or its time was up before it began.
    fn refund(&self) {}
}

impl Budget {
    /// A share of all calls of the last ten seconds may be retried, `ratio` in ten-thousandths, and ten retries a
    /// second in any case.
    ///
    /// Over any [window](RatioBudget::over) there are at most `ratio × calls + per_second × window` retries. A call
    /// counts until the end of the tenth of a window in which it is a window old, and so does a retry. With 0.1, 0.4,
    /// 0.6 and 0.9 it is one, four, six and nine retries for ten calls, exactly.
    pub fn ratio(ratio: f64) -> RatioBudget {
        RatioBudget {
            ratio,
            per_second: 10,
            window: Duration::from_secs(10),
            clock: None,
        }
    }

    /// gRPC's `retryThrottling` (proposal A6): there are `max_tokens` at the start and at most; a failure that may be
    /// retried takes one, a success gives `token_ratio` back, in thousandths; a retry is allowed while there are more
    /// than half. One budget stands for one server name.
    ///
    /// # Errors
    ///
    /// Where `max_tokens` is not from 1 to 1000, or `token_ratio` not more than zero, to 1000.
    pub fn throttling(max_tokens: u32, token_ratio: f64) -> Result<Self, ConfigError> {
        let throttling = Throttling::checked(max_tokens, token_ratio)?;
        Ok(Self::of(Kind::Throttling(Arc::new(throttling))))
    }

    /// What `rule` allows.
    pub fn by(rule: impl BudgetRule) -> Self {
        Self::of(Kind::By(Arc::new(rule)))
    }

    /// Every retry is allowed. For tests, and for a caller that is alone.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::of(Kind::Unlimited)
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            clock: AnyClock::default(),
        }
    }

    pub(crate) fn of_ratio(ratio: Ratio, clock: AnyClock) -> Self {
        Self {
            kind: Kind::Ratio(Arc::new(ratio)),
            clock,
        }
    }

    /// A call begins; its retries are not calls.
    #[inline]
    pub fn called(&self) {
        match &self.kind {
            Kind::Ratio(ratio) => ratio.called(self.clock.now()),
            Kind::By(rule) => rule.called(),
            Kind::Throttling(_) | Kind::Unlimited => {}
        }
    }

    /// As [`called`](Self::called), for who has just read the clock of this budget.
    #[inline]
    pub(crate) fn called_at(&self, now: Tick) {
        match &self.kind {
            Kind::Ratio(ratio) => ratio.called(now),
            _ => self.called(),
        }
    }

    /// A call succeeded, at the first attempt or later.
    #[inline]
    pub fn succeeded(&self) {
        match &self.kind {
            Kind::Throttling(throttling) => throttling.succeeded(),
            Kind::By(rule) => rule.succeeded(),
            Kind::Ratio(_) | Kind::Unlimited => {}
        }
    }

    /// An attempt failed in a way that a retry may mend.
    pub fn failed(&self) {
        match &self.kind {
            Kind::Throttling(throttling) => throttling.failed(),
            Kind::By(rule) => rule.failed(),
            Kind::Ratio(_) | Kind::Unlimited => {}
        }
    }

    /// May there be a retry? If so, it is charged.
    #[must_use]
    pub fn try_retry(&self) -> bool {
        self.grant(None).is_some()
    }

    /// As [`try_retry`](Self::try_retry); tells when it was charged. `now` is for who has just read the clock of this
    /// budget.
    pub(crate) fn grant(&self, now: Option<Tick>) -> Option<Tick> {
        let (granted, at) = match &self.kind {
            Kind::Ratio(ratio) => {
                let now = now.unwrap_or_else(|| self.clock.now());
                (ratio.try_retry(now), now)
            }
            Kind::Throttling(throttling) => (throttling.allows(), Tick::ZERO),
            Kind::By(rule) => (rule.try_retry(), Tick::ZERO),
            Kind::Unlimited => (true, Tick::ZERO),
        };
        granted.then_some(at)
    }

    /// A retry that was charged then was not made after all.
    pub(crate) fn refund(&self, charged: Tick) {
        match &self.kind {
            Kind::Ratio(ratio) => ratio.refund(charged),
            Kind::By(rule) => rule.refund(),
            Kind::Throttling(_) | Kind::Unlimited => {}
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Ratio(ratio) => ratio.fmt(f),
            Kind::Throttling(throttling) => throttling.fmt(f),
            Kind::By(rule) => rule.fmt(f),
            Kind::Unlimited => f.write_str("Unlimited"),
        }
    }
}

/// A [`Budget::ratio`] in the making.
#[derive(Clone, Debug)]
#[must_use = "call `build`"]
pub struct RatioBudget {
    ratio: f64,
    per_second: u32,
    window: Duration,
    clock: Option<AnyClock>,
}

impl RatioBudget {
    /// As many retries a second are allowed however few calls there are; 10 if not given.
    pub const fn per_second(mut self, retries: u32) -> Self {
        self.per_second = retries;
        self
    }

    /// Over which time calls and retries are counted; 10 s if not given, which is Finagle's.
    pub const fn over(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The clock; [`TokioClock`](buttress_core::clock::TokioClock) if not given.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(AnyClock::of(clock));
        self
    }

    /// The budget.
    ///
    /// # Errors
    ///
    /// Where the ratio is not from 0 to 10 (ten retries for each call), is not zero and yet smaller than a
    /// ten-thousandth, the window is not from 100 ms to an hour, or so few a second are none in a window.
    pub fn build(self) -> Result<Budget, ConfigError> {
        let ratio = Ratio::checked(self.ratio, self.per_second, self.window)?;
        Ok(Budget::of_ratio(ratio, self.clock.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Counts([AtomicU32; 5]);

    impl BudgetRule for Arc<Counts> {
        fn called(&self) {
            self.0[0].fetch_add(1, Ordering::SeqCst);
        }
        fn succeeded(&self) {
            self.0[1].fetch_add(1, Ordering::SeqCst);
        }
        fn failed(&self) {
            self.0[2].fetch_add(1, Ordering::SeqCst);
        }
        fn try_retry(&self) -> bool {
            self.0[3].fetch_add(1, Ordering::SeqCst) == 0
        }
        fn refund(&self) {
            self.0[4].fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_rule_of_ones_own_hears_of_everything() {
        let counts = Arc::new(Counts::default());
        let budget = Budget::by(Arc::clone(&counts));
        let clone = budget.clone();
        budget.called();
        clone.called_at(Tick::ZERO);
        clone.succeeded();
        budget.failed();
        assert!(budget.try_retry());
        assert!(!clone.try_retry());
        clone.refund(Tick::ZERO);
        assert_eq!(
            counts.0.each_ref().map(|n| n.load(Ordering::SeqCst)),
            [2, 1, 1, 2, 1]
        );
    }

    #[test]
    fn unlimited_is_unlimited() {
        let budget = Budget::unlimited();
        budget.failed();
        assert!((0..1_000).all(|_| budget.try_retry()));
    }
}
