use std::{fmt, future::Future, sync::Arc};

use buttress_core::{Classify, Outcome};

use crate::{
    CircuitBreakerBuilder, Error, OwnedPermit, Permit, Refused, Snapshot, State, Transitions, Trip,
    machine::Machine,
    shared::{At, Shared},
};

/// One circuit, without tower: around a database, a queue, a library.
///
/// Clones share their state. While it is closed a call costs one load before, and after it what its
/// [rule](Trip) takes: under rates over time a reading of the clock and one atomic addition. No lock, no
/// allocation.
///
/// ```
/// use std::time::Duration;
/// use buttress_circuit_breaker::{CircuitBreaker, Outcome, State, Trip};
///
/// let database = CircuitBreaker::on(Trip::consecutive_failures(3)).open_for(Duration::from_secs(5)).build()?;
/// for _ in 0..3 {
///     let permit = database.try_acquire()?;
///     // .. the query fails ..
///     permit.record(Outcome::Failure);
/// }
/// assert_eq!(database.state(), State::Open);
/// let refused = database.try_acquire().unwrap_err();
/// assert!(refused.retry_after().unwrap() <= Duration::from_secs(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CircuitBreaker {
    shared: Arc<Shared>,
}

impl CircuitBreaker {
    /// A circuit that opens on `trip`.
    pub fn on(trip: impl Into<Trip>) -> CircuitBreakerBuilder {
        CircuitBreakerBuilder::of_one(trip.into())
    }

    pub(crate) fn with(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// A permit for one call, if it may go.
    ///
    /// # Errors
    ///
    /// [`Refused`] where the circuit is open or parked, or all its probes are out.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Refused> {
        let ticket = self.shared.admit()?;
        let Shared { settings, only, .. } = &*self.shared;
        Ok(Permit::with(settings, only, ticket))
    }

    /// A permit that borrows nothing.
    ///
    /// # Errors
    ///
    /// As of [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_owned(&self) -> Result<OwnedPermit, Refused> {
        let ticket = self.shared.admit()?;
        Ok(OwnedPermit::with(
            Arc::clone(&self.shared),
            At::ONLY,
            ticket,
        ))
    }

    /// Calls `function` if the circuit lets it go; an error is a failure of the upstream.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if not, and `function`'s own error.
    #[inline]
    pub fn call<T, E>(&self, function: impl FnOnce() -> Result<T, E>) -> Result<T, Error<E>> {
        let permit = self.try_acquire()?;
        let result = function();
        permit.record(by_result(&result));
        result.map_err(Error::Inner)
    }

    /// Runs `future` if the circuit lets it go; an error is a failure of the upstream. If not, `future`
    /// is dropped unpolled.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if not, and `future`'s own error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use buttress_circuit_breaker::{CircuitBreaker, Trip};
    ///
    /// let circuit = CircuitBreaker::on(Trip::over_time(Duration::from_secs(10))).build()?;
    /// let answer = circuit.run(async { "42".parse::<u8>() }).await?;
    /// assert_eq!(answer, 42);
    /// # Ok(()) }
    /// ```
    pub async fn run<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        self.run_classified(future, |result: Result<&T, &E>| by_result(&result))
            .await
    }

    /// Runs `future` if the circuit lets it go; `classifier` says what its result means.
    ///
    /// # Errors
    ///
    /// As of [`run`](Self::run).
    pub async fn run_classified<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>>,
        classifier: impl Classify<T, E>,
    ) -> Result<T, Error<E>> {
        let permit = self.try_acquire()?;
        let result = future.await;
        permit.record(classifier.classify(result.as_ref()));
        result.map_err(Error::Inner)
    }

    /// The state. An open circuit stays open until the first call after its time.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.only.state()
    }

    /// All that there is to know. Takes the circuit's lock for a moment: for a page of metrics, not for
    /// every call.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.only.snapshot(&self.shared.settings)
    }

    /// The changes of state from now on.
    #[must_use]
    pub fn transitions(&self) -> Transitions {
        self.shared.only.subscribe()
    }

    /// By hand: lets all calls go and counts none, until [`close`](Self::close).
    pub fn disable(&self) {
        self.by_hand(Machine::disable);
    }

    /// By hand: refuses all calls, until [`close`](Self::close).
    pub fn force_open(&self) {
        self.by_hand(Machine::force_open);
    }

    /// By hand: lets all calls go and counts them, to see what a rule would do, until
    /// [`close`](Self::close).
    pub fn metrics_only(&self) {
        self.by_hand(Machine::metrics_only);
    }

    /// By hand: closes it, whatever its state is, and begins to count anew. What the upstream asked for
    /// is forgotten, too.
    pub fn close(&self) {
        self.by_hand(Machine::close);
    }

    fn by_hand(&self, change: impl FnOnce(&mut Machine) -> Option<crate::Transition>) {
        let Shared { settings, only, .. } = &*self.shared;
        only.by_hand(settings, None, change);
    }
}

#[inline]
pub(crate) fn by_result<T, E>(result: &Result<T, E>) -> Outcome {
    if result.is_ok() {
        Outcome::Success
    } else {
        Outcome::Failure
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("name", &self.shared.settings.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
