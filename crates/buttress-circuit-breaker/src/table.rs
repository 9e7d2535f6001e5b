use std::{fmt, sync::OnceLock};

use buttress_core::Digest;

use crate::{
    Refused,
    circuit::{Circuit, Forgotten, Ticket},
    settings::Settings,
    sync::{AtomicU64, Mutex, Ordering, lock},
};

/// Circuits in a bucket: their owners fill one cache line.
const WAYS: usize = if cfg!(loom) { 1 } else { 8 };

/// Buckets in which a key may stand.
const CHOICES: usize = if cfg!(loom) { 1 } else { 2 };

/// Places per key that the table promises room for: with two choices of eight, hardly a key finds them all
/// taken.
const PLACES_PER_KEY: usize = if cfg!(loom) { 1 } else { 2 };

/// The owner of a place that was never used.
const NOBODY: u64 = 0;

/// How often a key whose place is taken from it, at the very moment, looks for another.
const TRIES: usize = 3;

/// Circuits by key: of a fixed number, without a lock where the key is known.
///
/// A circuit is made when its place is first used, and stays there. Given to another key it begins a new
/// generation: what was let go for the old one changes nothing any more.
///
/// # Who is forgotten
///
/// A new key takes a place that was never used, else one whose circuit is closed and was not asked for since
/// somebody last looked for a place there, else any that is closed. At last it takes that of one whose time to be open
/// is over, and that nobody called since: dead upstreams are not called again, and would keep their places for ever. One
/// that refuses calls or was switched by hand is never forgotten. Where there is nothing else, the new key has no
/// circuit, and its calls go unwatched.
///
/// # How owner and circuit change together
///
/// Whoever gives a place away writes the new owner *before* the circuit's new word. Whoever wants in reads
/// the owner, then the word, then the owner again: if it is still the same, the word was its own.
pub(crate) struct Table {
    buckets: Box<[Bucket]>,
    inserting: Mutex<()>,
}

#[repr(align(64))]
struct Bucket {
    owners: [AtomicU64; WAYS],
    /// Which of them were asked for lately: one bit each.
    used: AtomicU64,
    circuits: [OnceLock<Box<Circuit>>; WAYS],
}

/// A circuit that belonged to the key when it was found.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) circuit: &'a Circuit,
    /// Where it is, for [`Table::get`].
    pub(crate) index: u32,
    owner: &'a AtomicU64,
    key: u64,
}

impl Place<'_> {
    /// Whether it still belongs to the key.
    #[inline]
    pub(crate) fn is_kept(&self) -> bool {
        self.owner.load(Ordering::Acquire) == self.key
    }
}

impl Table {
    pub(crate) fn with_room_for(keys: usize) -> Self {
        let buckets = keys.saturating_mul(PLACES_PER_KEY).div_ceil(WAYS).max(1);
        Self {
            buckets: (0..buckets).map(|_| Bucket::empty()).collect(),
            inserting: Mutex::new(()),
        }
    }

    /// How many circuits there can be.
    pub(crate) fn places(&self) -> usize {
        self.buckets.len() * WAYS
    }

    /// How many circuits there are.
    pub(crate) fn circuits(&self) -> usize {
        let circuits = self.buckets.iter().flat_map(|bucket| &bucket.circuits);
        circuits.filter(|circuit| circuit.get().is_some()).count()
    }

    /// The circuit at an index.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&Circuit> {
        let index = index as usize;
        let bucket = self.buckets.get(index / WAYS)?;
        bucket
            .circuits
            .get(index % WAYS)?
            .get()
            .map(|circuit| &**circuit)
    }

    /// The circuit of `key`, if it has one.
    #[inline]
    pub(crate) fn find(&self, key: impl Into<Fingerprint>) -> Option<Place<'_>> {
        let Fingerprint(key) = key.into();
        let (number, bucket) = self.bucket(key, 0)?;
        match bucket.way_of(key) {
            Some(way) => bucket.used_place(number, way, key),
            None => self.find_elsewhere(key),
        }
    }

    #[cold]
    #[inline(never)]
    fn find_elsewhere(&self, key: u64) -> Option<Place<'_>> {
        (1..CHOICES).find_map(|choice| {
            let (number, bucket) = self.bucket(key, choice)?;
            bucket.used_place(number, bucket.way_of(key)?, key)
        })
    }

    /// The circuit of `key`, which gets one if there is room.
    #[inline]
    pub(crate) fn find_or_insert(&self, key: Digest, settings: &Settings) -> Option<Place<'_>> {
        self.find(key).or_else(|| self.insert(key, settings))
    }

    /// May a call for `key` go? Asked again where the circuit was given to another key meanwhile. `None`
    /// where there is no room.
    ///
    /// The `whole` of the key's digest is asked for where it gets a circuit, and not computed before.
    #[inline]
    pub(crate) fn admit(
        &self,
        key: Fingerprint,
        whole: impl Fn() -> Digest,
        settings: &Settings,
    ) -> Option<Result<(u32, &Circuit, Ticket), Refused>> {
        for _ in 0..TRIES {
            let place = match self.find(key) {
                Some(place) => place,
                None => self.insert(whole(), settings)?,
            };
            let admitted = place.circuit.admit(settings);
            if place.is_kept() {
                return Some(admitted.map(|ticket| (place.index, place.circuit, ticket)));
            }
            if let Ok(ticket) = admitted {
                place.circuit.withdraw(&ticket);
            }
        }
        None
    }

    #[cold]
    #[inline(never)]
    fn insert(&self, key: Digest, settings: &Settings) -> Option<Place<'_>> {
        let (place, forgotten) = self.insert_locked(key, settings)?;
        if let Some(forgotten) = forgotten {
            forgotten.tell(settings);
        }
        Some(place)
    }

    fn insert_locked(
        &self,
        key: Digest,
        settings: &Settings,
    ) -> Option<(Place<'_>, Option<Forgotten>)> {
        let _inserting = lock(&self.inserting);
        if let Some(place) = self.find(key) {
            return Some((place, None));
        }
        let Fingerprint(owner) = key.into();
        let candidates = || {
            let buckets = (0..CHOICES).filter_map(|choice| self.bucket(owner, choice));
            // Not always the same place first.
            buckets.flat_map(|(number, bucket)| {
                (0..WAYS).map(move |n| (number, bucket, n.wrapping_add(owner as usize) % WAYS))
            })
        };
        for (number, bucket, way) in candidates() {
            let (Some(circuit), Some(place)) = (bucket.circuits.get(way), bucket.owners.get(way))
            else {
                continue;
            };
            if place.load(Ordering::Acquire) == NOBODY {
                let made = Circuit::closed(settings);
                made.belongs_to(key);
                // Only whoever holds the lock makes circuits.
                if circuit.set(Box::new(made)).is_ok() {
                    place.store(owner, Ordering::Release);
                    return Some((bucket.place(number, way, owner)?, None));
                }
            }
        }
        for (also_used, also_due) in [(false, false), (true, false), (true, true)] {
            for (number, bucket, way) in candidates() {
                let bit = 1 << way;
                if !also_used && bucket.used.load(Ordering::Relaxed) & bit != 0 {
                    continue;
                }
                let Some(place) = bucket.place(number, way, owner) else {
                    continue;
                };
                let given = place.circuit.give_to(settings, key, also_due, || {
                    place.owner.store(owner, Ordering::Release);
                });
                if given.is_some() {
                    // In use it is from its second call on: strangers who come once drive out each other.
                    return Some((place, given));
                }
            }
            // Who is asked for until the next time is in use.
            for (_, bucket, _) in candidates() {
                bucket.used.store(0, Ordering::Relaxed);
            }
        }
        None
    }

    /// The bucket that is `key`'s n-th choice.
    #[inline]
    fn bucket(&self, key: u64, choice: usize) -> Option<(usize, &Bucket)> {
        // Each choice scales other bits of the hash onto the table, which need not be a power of two.
        let bits = key.rotate_left(choice as u32 * 32);
        let number = ((u128::from(bits) * self.buckets.len() as u128) >> 64) as usize;
        Some((number, self.buckets.get(number)?))
    }
}

impl Bucket {
    fn empty() -> Self {
        Self {
            owners: std::array::from_fn(|_| AtomicU64::new(NOBODY)),
            used: AtomicU64::new(0),
            circuits: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    /// All owners are compared before anything depends on which of them it is: of branches on that, a
    /// processor foresees few, and the others cost as much as the hash.
    #[inline]
    fn way_of(&self, key: u64) -> Option<usize> {
        let mut way = WAYS;
        for (n, owner) in self.owners.iter().enumerate().rev() {
            let found = owner.load(Ordering::Acquire) == key;
            way = if found { n } else { way };
        }
        (way < WAYS).then_some(way)
    }

    #[inline]
    fn used_place(&self, number: usize, way: usize, key: u64) -> Option<Place<'_>> {
        if self.used.load(Ordering::Relaxed) & (1 << way) == 0 {
            self.used.fetch_or(1 << way, Ordering::Relaxed);
        }
        self.place(number, way, key)
    }

    #[inline]
    fn place(&self, number: usize, way: usize, key: u64) -> Option<Place<'_>> {
        Some(Place {
            circuit: self.circuits.get(way)?.get()?,
            index: u32::try_from(number * WAYS + way).ok()?,
            owner: self.owners.get(way)?,
            key,
        })
    }
}

/// What names a key in the table: half of its digest, the half that the hash has ready first. Two of a
/// thousand keys meet with a probability of 3 × 10⁻¹⁴, and share a circuit then.
#[derive(Clone, Copy)]
pub(crate) struct Fingerprint(u64);

impl From<Digest> for Fingerprint {
    #[inline]
    fn from(key: Digest) -> Self {
        Self(key.high().max(NOBODY + 1))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("places", &self.places())
            .field("circuits", &self.circuits())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod interleavings;
