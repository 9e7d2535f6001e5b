mod lift;

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    fmt,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
    time::Duration,
};

use buttress_core::{Digest, Park, Tick};

use self::lift::Lever;
pub(crate) use self::lift::Lift;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// Who asked to be left alone, until when: one [`Park`] per upstream, credential and whatever else makes a key.
///
/// While nobody is parked, which is nearly always, asking costs one load, and no key is needed.
///
/// # The bound
///
/// There are at most as many as [`RetryBuilder::max_parks`](crate::RetryBuilder::max_parks) says. Those whose time is
/// over make room; if there is none, the one that would end next is forgotten: its upstream may be called a little
/// early, and says so again.
pub(crate) struct Parks {
    /// When the last one ends, or an earlier one that was lifted by hand would have.
    latest: AtomicU64,
    room: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    parks: HashMap<u128, Parked, BuildHasherDefault<AsItIs>>,
    /// The same by their ends, soonest first.
    ends: BTreeSet<(Tick, u128)>,
}

#[derive(Default)]
struct Parked {
    park: Park,
    /// There is one where somebody waits, or has waited.
    lever: Option<Arc<Lever>>,
}

impl Parks {
    pub(crate) fn with_room_for(room: usize) -> Self {
        Self {
            latest: AtomicU64::new(0),
            room: room.max(1),
            table: Mutex::new(Table::default()),
        }
    }

    /// Whether anybody is parked.
    #[inline]
    pub(crate) fn any(&self, now: Tick) -> bool {
        self.latest.load(Ordering::Acquire) > now.as_nanos()
    }

    /// Parks `key` until then, unless it is parked for longer. Tells whether that was news.
    pub(crate) fn park(&self, key: Digest, now: Tick, until: Tick) -> bool {
        if until <= now {
            return false;
        }
        let mut table = lock(&self.table);
        let news = table.park(key.as_u128(), until);
        table.make_room(self.room, now);
        // Under the lock, lest it be lifted between the two.
        self.latest.fetch_max(until.as_nanos(), Ordering::AcqRel);
        news
    }

    /// For how long `key` is parked.
    pub(crate) fn time_left(&self, key: Digest, now: Tick) -> Option<Duration> {
        let table = lock(&self.table);
        table.parks.get(&key.as_u128())?.park.time_left(now)
    }

    /// To hear of it when the park of `key` is lifted by hand; `None` where there is none.
    pub(crate) fn lift(&self, key: Digest) -> Option<Lift> {
        let mut table = lock(&self.table);
        let parked = table.parks.get_mut(&key.as_u128())?;
        let lever = parked.lever.get_or_insert_default();
        Some(Lift::of(Arc::clone(lever)))
    }

    /// Lifts the park of `key`, and wakes who waits for its end.
    pub(crate) fn clear(&self, key: Digest) {
        let parked = lock(&self.table).remove(key.as_u128());
        if let Some(lever) = parked.and_then(|parked| parked.lever) {
            lever.lift();
        }
    }

    /// Lifts all, and wakes all who wait.
    pub(crate) fn clear_all(&self) {
        let table = {
            let mut table = lock(&self.table);
            self.latest.store(0, Ordering::Release);
            std::mem::take(&mut *table)
        };
        let levers = table.parks.into_values().filter_map(|parked| parked.lever);
        levers.for_each(|lever| lever.lift());
    }

    #[cfg(all(test, not(loom)))]
    fn len(&self) -> usize {
        let table = lock(&self.table);
        assert_eq!(table.parks.len(), table.ends.len());
        table.parks.len()
    }
}

impl Table {
    fn park(&mut self, key: u128, until: Tick) -> bool {
        let before = match self.parks.entry(key) {
            Entry::Occupied(parked) => {
                let park = &parked.get().park;
                // Since the origin of the clock: the end itself.
                let before = end_of(park);
                if !park.park(until) {
                    return false;
                }
                Some(before)
            }
            Entry::Vacant(place) => {
                place.insert(Parked::default()).park.park(until);
                None
            }
        };
        if let Some(before) = before {
            self.ends.remove(&(before, key));
        }
        self.ends.insert((until, key));
        true
    }

    fn remove(&mut self, key: u128) -> Option<Parked> {
        let parked = self.parks.remove(&key)?;
        self.ends.remove(&(end_of(&parked.park), key));
        Some(parked)
    }

    /// Forgets at most two whose time is over, which is more than came, and those beyond the room.
    fn make_room(&mut self, room: usize, now: Tick) {
        for _ in 0..2 {
            match self.ends.first() {
                Some(&(end, key)) if end <= now || self.parks.len() > room => {
                    self.ends.remove(&(end, key));
                    self.parks.remove(&key);
                }
                _ => return,
            }
        }
    }
}

fn end_of(park: &Park) -> Tick {
    let since_origin = park.time_left(Tick::ZERO).unwrap_or_default();
    Tick::ZERO.saturating_add(since_origin)
}

/// Keys are digests under a secret already.
#[derive(Clone, Copy, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, digest: u128) {
        self.0 = (digest >> 64) as u64 ^ digest as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Parks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parks")
            .field("parked", &lock(&self.table).parks.len())
            .field("room", &self.room)
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const A: Digest = Digest::from_u128(1);
    const B: Digest = Digest::from_u128(2);

    fn at(nanos: u64) -> Tick {
        Tick::from_nanos(nanos)
    }

    #[test]
    fn the_later_word_counts_and_time_lifts_it() {
        let parks = Parks::with_room_for(10);
        assert!(!parks.any(at(0)));
        assert!(parks.park(A, at(0), at(100)));
        assert!(!parks.park(A, at(0), at(50)), "an earlier end is no news");
        assert!(parks.park(A, at(0), at(200)));
        assert!(!parks.park(A, at(300), at(300)), "over already");
        assert_eq!(parks.time_left(A, at(150)), Some(Duration::from_nanos(50)));
        assert_eq!(parks.time_left(B, at(150)), None);
        assert!(parks.any(at(199)));
        assert!(!parks.any(at(200)));
        assert_eq!(parks.time_left(A, at(200)), None);
        assert_eq!(parks.len(), 1);
    }

    /// Another one's earlier end is none for those who are parked for longer.
    #[test]
    fn somebody_is_parked_until_the_last_end() {
        let parks = Parks::with_room_for(10);
        parks.park(A, at(0), at(100));
        parks.park(B, at(0), at(50));
        assert!(parks.any(at(60)));
        assert_eq!(parks.time_left(A, at(60)), Some(Duration::from_nanos(40)));
    }

    #[test]
    fn a_hand_lifts_it() {
        let parks = Parks::with_room_for(10);
        parks.park(A, at(0), at(100));
        parks.park(B, at(0), at(100));
        parks.clear(A);
        assert_eq!(parks.time_left(A, at(0)), None);
        assert!(parks.time_left(B, at(0)).is_some());
        parks.clear_all();
        assert!(!parks.any(at(0)));
        assert_eq!(parks.len(), 0);
    }

    /// The bound holds whatever comes, and who is parked for longest is kept.
    #[test]
    fn a_flood_of_keys_takes_no_more_than_its_room() {
        let parks = Parks::with_room_for(10);
        parks.park(Digest::from_u128(u128::MAX), at(0), at(1_000_000));
        for n in 0..10_000_u64 {
            parks.park(Digest::from_u128(n.into()), at(n), at(n + 500));
            assert!(parks.len() <= 10);
        }
        assert!(
            parks
                .time_left(Digest::from_u128(u128::MAX), at(10_000))
                .is_some()
        );
        assert!(
            parks
                .time_left(Digest::from_u128(9_999), at(10_000))
                .is_some()
        );
    }

    #[test]
    fn what_is_over_makes_room() {
        let parks = Parks::with_room_for(1_000);
        for n in 0..100 {
            parks.park(Digest::from_u128(n), at(0), at(10));
        }
        assert_eq!(parks.len(), 100);
        // Two go where one comes, so that what is over goes before long.
        for n in 100..150 {
            parks.park(Digest::from_u128(n), at(10), at(20));
        }
        assert_eq!(parks.len(), 50);
    }
}

#[cfg(all(test, loom))]
mod interleavings {
    //! `RUSTFLAGS="--cfg loom" cargo test -p buttress-retry --release --lib loom`

    use loom::{sync::Arc, thread};

    use super::*;

    const A: Digest = Digest::from_u128(1);

    /// Whoever sees that somebody is parked finds out whom, and the later of two words counts.
    #[test]
    fn loom_the_later_word_counts() {
        loom::model(|| {
            let parks = Arc::new(Parks::with_room_for(2));
            let other = Arc::clone(&parks);
            let other = thread::spawn(move || {
                other.park(A, Tick::ZERO, Tick::from_nanos(20));
            });
            parks.park(A, Tick::ZERO, Tick::from_nanos(10));
            assert!(parks.any(Tick::ZERO));
            assert!(parks.time_left(A, Tick::ZERO).is_some());
            other.join().unwrap();
            assert_eq!(
                parks.time_left(A, Tick::ZERO),
                Some(Duration::from_nanos(20))
            );
        });
    }

    /// A park that is made while all are lifted either stays whole or goes whole.
    #[test]
    fn loom_lifted_whole() {
        loom::model(|| {
            let parks = Arc::new(Parks::with_room_for(2));
            let other = Arc::clone(&parks);
            let other = thread::spawn(move || other.clear_all());
            parks.park(A, Tick::ZERO, Tick::from_nanos(10));
            other.join().unwrap();
            let parked = parks.time_left(A, Tick::ZERO).is_some();
            assert_eq!(parks.any(Tick::ZERO), parked);
        });
    }
}
