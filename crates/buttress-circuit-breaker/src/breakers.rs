use std::{fmt, future::Future, sync::Arc};

use buttress_core::{Classify, Digest, Key};

use crate::{
    CircuitBreakerBuilder, Error, OwnedPermit, Permit, Refused, Snapshot, State, Transition, Trip,
    breaker::by_result,
    builder::PerKey,
    circuit::Circuit,
    machine::Machine,
    shared::{Keyed, Shared},
};

/// A circuit for each key, without tower: for each host, each shard, each tenant's database.
///
/// Clones share their state. A call costs what a [`CircuitBreaker`](crate::CircuitBreaker)'s does, and the
/// hash of its key. How many circuits there are is bounded; what happens at the bound says
/// [`max_keys`](CircuitBreakerBuilder::max_keys).
///
/// ```
/// use buttress_circuit_breaker::{CircuitBreakers, Outcome, Trip};
///
/// let shards = CircuitBreakers::per_key(Trip::consecutive_failures(3)).max_keys(100).build()?;
/// for _ in 0..3 {
///     shards.try_acquire("shard-7")?.record(Outcome::Failure);
/// }
/// assert!(shards.try_acquire("shard-7").is_err());
/// assert!(shards.try_acquire("shard-8").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CircuitBreakers {
    shared: Arc<Shared>,
}

impl CircuitBreakers {
    /// Circuits that open on `trip`, each for itself.
    pub fn per_key(trip: impl Into<Trip>) -> CircuitBreakerBuilder<PerKey> {
        CircuitBreakerBuilder::starting_with(trip.into(), PerKey::default())
    }

    pub(crate) fn with(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// A permit for one call for `key`, if it may go.
    ///
    /// # Errors
    ///
    /// [`Refused`] where the key's circuit is open or parked, or all its probes are out.
    #[inline]
    pub fn try_acquire<K: Key + ?Sized>(&self, key: &K) -> Result<Permit<'_>, Refused> {
        let shared = &*self.shared;
        let Some(keyed) = &shared.keyed else {
            return Ok(Permit::with(
                &shared.settings,
                &shared.only,
                shared.admit()?,
            ));
        };
        let whole = || keyed.secret.digest(key);
        let (_, circuit, ticket) = shared.admit_for(keyed, whole().into(), whole)?;
        Ok(Permit::with(&shared.settings, circuit, ticket))
    }

    /// A permit that borrows nothing.
    ///
    /// # Errors
    ///
    /// As of [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_owned<K: Key + ?Sized>(&self, key: &K) -> Result<OwnedPermit, Refused> {
        let shared = &self.shared;
        let Some(keyed) = &shared.keyed else {
            let ticket = shared.admit()?;
            return Ok(OwnedPermit::with(
                Arc::clone(shared),
                crate::shared::At::ONLY,
                ticket,
            ));
        };
        let whole = || keyed.secret.digest(key);
        let (at, _, ticket) = shared.admit_for(keyed, whole().into(), whole)?;
        Ok(OwnedPermit::with(Arc::clone(shared), at, ticket))
    }

    /// Runs `future` if the circuit of `key` lets it go; an error is a failure of the upstream.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if not, and `future`'s own error.
    pub async fn run<K: Key + ?Sized, T, E>(
        &self,
        key: &K,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        let classifier = |result: Result<&T, &E>| by_result(&result);
        self.run_classified(key, future, classifier).await
    }

    /// Runs `future` if the circuit of `key` lets it go; `classifier` says what its result means.
    ///
    /// # Errors
    ///
    /// As of [`run`](Self::run).
    pub async fn run_classified<K: Key + ?Sized, T, E>(
        &self,
        key: &K,
        future: impl Future<Output = Result<T, E>>,
        classifier: impl Classify<T, E>,
    ) -> Result<T, Error<E>> {
        let permit = self.try_acquire(key)?;
        let result = future.await;
        permit.record(classifier.classify(result.as_ref()));
        result.map_err(Error::Inner)
    }

    /// The state of the circuit of `key`; `None` where there is none: nobody called it lately.
    #[must_use]
    pub fn state<K: Key + ?Sized>(&self, key: &K) -> Option<State> {
        self.with_circuit(key, Circuit::state)
    }

    /// All that there is to know of the circuit of `key`.
    #[must_use]
    pub fn snapshot<K: Key + ?Sized>(&self, key: &K) -> Option<Snapshot> {
        self.with_circuit(key, |circuit| circuit.snapshot(&self.shared.settings))
    }

    fn with_circuit<K: Key + ?Sized, R>(
        &self,
        key: &K,
        read: impl FnOnce(&Circuit) -> R,
    ) -> Option<R> {
        let keyed = self.shared.keyed.as_ref()?;
        let place = keyed.table.find(keyed.secret.digest(key))?;
        let read = read(place.circuit);
        place.is_kept().then_some(read)
    }

    /// The digest by which events name `key`. It differs from process to process, unless the
    /// [secret](CircuitBreakerBuilder::digest_key) is given.
    #[must_use]
    pub fn digest<K: Key + ?Sized>(&self, key: &K) -> Option<Digest> {
        let keyed = self.shared.keyed.as_ref()?;
        Some(keyed.secret.digest(key))
    }

    /// By hand: lets all calls for `key` go and counts none. Tells whether there is room for its circuit,
    /// as the others do.
    pub fn disable<K: Key + ?Sized>(&self, key: &K) -> bool {
        self.by_hand(key, Machine::disable)
    }

    /// By hand: refuses all calls for `key`.
    pub fn force_open<K: Key + ?Sized>(&self, key: &K) -> bool {
        self.by_hand(key, Machine::force_open)
    }

    /// By hand: lets all calls for `key` go and counts them.
    pub fn metrics_only<K: Key + ?Sized>(&self, key: &K) -> bool {
        self.by_hand(key, Machine::metrics_only)
    }

    /// By hand: closes the circuit of `key`, whatever its state is, and begins to count anew.
    pub fn close<K: Key + ?Sized>(&self, key: &K) -> bool {
        self.by_hand(key, Machine::close)
    }

    fn by_hand<K: Key + ?Sized>(
        &self,
        key: &K,
        change: impl Fn(&mut Machine) -> Option<Transition>,
    ) -> bool {
        let Some(Keyed { table, secret }) = &self.shared.keyed else {
            return false;
        };
        let settings = &self.shared.settings;
        let key = secret.digest(key);
        let place = table.find_or_insert(key, settings);
        place.is_some_and(|place| place.circuit.by_hand(settings, Some(key), change))
    }

    /// How many circuits there can be at most; each takes about three quarters of a
    /// kilobyte once it is used.
    #[must_use]
    pub fn capacity(&self) -> usize {
        let keyed = self.shared.keyed.as_ref();
        keyed.map_or(0, |keyed| keyed.table.places())
    }

    /// How many places were ever used. Looks at all of them.
    #[must_use]
    pub fn len(&self) -> usize {
        let keyed = self.shared.keyed.as_ref();
        keyed.map_or(0, |keyed| keyed.table.circuits())
    }

    /// Whether none was ever used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for CircuitBreakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakers")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}
