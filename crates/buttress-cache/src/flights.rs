use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
};

use buttress_core::Digest;

use crate::{
    BodyError,
    digest_hasher::DigestHasher,
    flight::{Flight, Seat},
    sync::{Mutex, MutexGuard, lock},
};

/// A power of two. A model has no use for more than one.
const SHARDS: usize = if cfg!(loom) { 1 } else { 16 };

/// The fetches that are under way, by key.
pub(crate) struct Flights<N> {
    shards: [Mutex<Shard<N>>; SHARDS],
}

type Shard<N> = HashMap<Digest, Arc<Flight<N>>, DigestHasher>;

/// What a request for a key takes part in.
pub(crate) enum Boarding<N> {
    /// A fetch that it has to make, for itself and for all who come later.
    Lead(Lead<N>),
    /// Somebody else's fetch.
    Follow(Seat<N>),
}

impl<N> Flights<N> {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(Shard::default())),
        }
    }

    /// Takes part in the fetch of `key` that is under way or, where there is none, begins one.
    pub(crate) fn board(self: &Arc<Self>, key: Digest) -> Boarding<N> {
        let mut shard = self.shard(key);
        let flight = match shard.entry(key) {
            Entry::Occupied(mut entry) => {
                if let Some(seat) = entry.get().join() {
                    return Boarding::Follow(seat);
                }
                // It is of no use to newcomers, and about to be taken out.
                let flight = Flight::new();
                entry.insert(Arc::clone(&flight));
                flight
            }
            Entry::Vacant(entry) => Arc::clone(entry.insert(Flight::new())),
        };
        Boarding::Lead(Lead {
            flights: Arc::clone(self),
            key: Some(key),
            flight,
        })
    }

    /// Begins a fetch of `key`, unless one is under way.
    pub(crate) fn begin(self: &Arc<Self>, key: Digest) -> Option<Lead<N>> {
        let mut shard = self.shard(key);
        let Entry::Vacant(entry) = shard.entry(key) else {
            return None;
        };
        let flight = Arc::clone(entry.insert(Flight::new()));
        Some(Lead {
            flights: Arc::clone(self),
            key: Some(key),
            flight,
        })
    }

    /// A fetch that nobody else takes part in.
    pub(crate) fn alone(self: &Arc<Self>) -> Lead<N> {
        Lead {
            flights: Arc::clone(self),
            key: None,
            flight: Flight::new(),
        }
    }

    /// Lets nobody else take part in the fetch of `key` that is under way.
    pub(crate) fn close(&self, key: Digest) {
        self.shard(key).remove(&key);
    }

    /// Lets nobody else take part in any.
    pub(crate) fn close_all(&self) {
        for shard in &self.shards {
            lock(shard).clear();
        }
    }

    /// The number of fetches under way that others can take part in.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn shard(&self, key: Digest) -> MutexGuard<'_, Shard<N>> {
        // Other bits than those that choose a bucket within the shard.
        lock(&self.shards[key.high() as usize & (SHARDS - 1)])
    }
}

/// The right to work on a fetch. Dropped before the end, those who wait go on alone, and those who read
/// are told that the body breaks off.
pub(crate) struct Lead<N> {
    flights: Arc<Flights<N>>,
    key: Option<Digest>,
    flight: Arc<Flight<N>>,
}

impl<N> Lead<N> {
    pub(crate) fn flight(&self) -> &Arc<Flight<N>> {
        &self.flight
    }

    /// The seat of the request that the fetch is made for.
    pub(crate) fn seat(&self) -> Option<Seat<N>> {
        self.flight.join()
    }

    /// Lets nobody else take part.
    pub(crate) fn close(&mut self) {
        if let Some(key) = self.key.take() {
            let mut shard = self.flights.shard(key);
            if let Entry::Occupied(entry) = shard.entry(key)
                && Arc::ptr_eq(entry.get(), &self.flight)
            {
                entry.remove();
            }
        }
    }
}

impl<N> Drop for Lead<N> {
    fn drop(&mut self) {
        self.close();
        self.flight.dissolve();
        self.flight.break_off(BodyError::unfinished());
    }
}

impl<N> fmt::Debug for Flights<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights")
            .field("under_way", &self.len())
            .finish_non_exhaustive()
    }
}

impl<N> fmt::Debug for Lead<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").finish_non_exhaustive()
    }
}
