mod carrying_over;
mod ones_own;

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use buttress_core::{Digest, DigestKey, Tick};
use proptest::prelude::*;

use super::{slots::CHOICES, *};
use crate::{
    Quota, SlidingLog,
    algorithm::{Kind, Summarize as _},
    limit::InForce,
    limiter::UNDECIDED,
};

const LOG: SlidingLog = SlidingLog::for_counts_up_to(3);

fn quota() -> Quota {
    "3/s".parse().unwrap()
}

fn key(n: u64) -> Fingerprint {
    DigestKey::from_words(7, 8).digest(&n).into()
}

fn at(quota: &Quota, now: u64) -> Request<'_, SlidingLog> {
    request_of(&LOG, quota, now)
}

fn request_of<'a, A>(algorithm: &'a A, quota: &'a Quota, now: u64) -> Request<'a, A> {
    Request {
        algorithm,
        quota,
        own: true,
        kind: Box::leak(Box::new(Kind::of(LOG))),
        by_request: false,
        quotas: Box::leak(Box::new(InForce::new(*quota))),
        revision: 0,
        now: Tick::from_nanos(now),
        cost: 1,
    }
}

impl<T> Found<T> {
    fn known(self) -> Option<T> {
        match self {
            Self::Known(what) => Some(what),
            Self::Full => None,
            Self::Stale => panic!("no quota was changed"),
        }
    }
}

fn table(keys: usize) -> LockedTable {
    LockedTable::with_room_for(keys, LOG.words(), summaries()).unwrap()
}

fn summaries() -> Option<Summaries> {
    Summaries::of(&Kind::of(LOG), &quota())
}

fn slots(table: &LockedTable) -> u64 {
    (table.shards.len() * table.buckets_per_shard * WAYS) as u64
}

/// As a store does: a key that is known is decided on by its summary, if that is enough.
fn acquire(
    table: &LockedTable,
    key: Fingerprint,
    request: &Request<'_, SlidingLog>,
) -> Option<Decision> {
    let Request {
        quota, now, cost, ..
    } = *request;
    let known = table.look(key, 0);
    if let Some((summaries, slot)) = known.and_then(Known::summary)
        && let Some((decision, next)) =
            LOG.take_from_summary(summaries, quota, slot.seen, now, cost)
    {
        assert!(slot.swap(next), "there is but one thread");
        return Some(decision);
    }
    let mut decision = UNDECIDED;
    let held = known.and_then(Known::hold);
    match held.and_then(|mut held| held.take(request, &mut decision)) {
        Some(()) => Some(decision),
        None => table.acquire(key, request).known(),
    }
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn each_key_has_a_state_of_its_own() {
    let (table, quota) = (table(100), quota());
    for remaining in [2, 1, 0] {
        for n in 0..50 {
            let decision = table.acquire(key(n), &at(&quota, 1)).known().unwrap();
            assert!(decision.is_admitted());
            assert_eq!(decision.remaining(), remaining);
        }
    }
    for n in 0..50 {
        let refused = table.acquire(key(n), &at(&quota, 1)).known().unwrap();
        assert!(!refused.is_admitted());
        table.settle(key(n), &at(&quota, 1), -2).known();
        assert_eq!(
            table
                .peek(key(n), &at(&quota, 1))
                .known()
                .unwrap()
                .remaining(),
            1
        );
    }
    let unknown = table.peek(key(99), &at(&quota, 1)).known().unwrap();
    assert_eq!(unknown.remaining(), 2);
}

#[test]
fn only_what_can_be_forgotten_makes_room() {
    let (table, quota) = (table(1), quota());
    let (slots, one_later) = (slots(&table), SECOND + 1);
    for n in 0..slots {
        assert!(table.acquire(key(n), &at(&quota, 1)).known().is_some());
    }
    assert_eq!(table.acquire(key(slots), &at(&quota, SECOND)).known(), None);
    // Nothing to charge needs no slot, and who is known has one.
    assert!(
        table
            .acquire(
                key(slots),
                &Request {
                    cost: 0,
                    ..at(&quota, SECOND)
                }
            )
            .known()
            .is_some()
    );
    assert!(table.acquire(key(0), &at(&quota, SECOND)).known().is_some());

    assert!(
        table
            .acquire(key(slots), &at(&quota, one_later))
            .known()
            .is_some()
    );
    let used = |n| {
        let standing = table.peek(key(n), &at(&quota, one_later)).known();
        2 - standing.unwrap().remaining()
    };
    assert_eq!((used(0), used(slots)), (1, 1));
}

/// Any other would make the keys of a quiet table drive each other out.
#[test]
fn the_one_that_could_be_forgotten_for_the_longest_time_makes_room() {
    let (table, quota) = (table(1), quota());
    let slots = slots(&table);
    let charged_at = |n: u64| 1 + (n + 2) % slots;
    for n in 0..slots {
        assert!(acquire(&table, key(n), &at(&quota, charged_at(n))).is_some());
    }
    assert!(acquire(&table, key(slots), &at(&quota, 5 * SECOND)).is_some());
    for n in 0..slots {
        assert_eq!(table.knows(key(n)), charged_at(n) != 1, "{n}");
    }
}

#[test]
fn who_has_no_place_is_told_so() {
    let (table, quota) = (table(1), quota());
    let stranger = key(slots(&table));
    for n in 0..slots(&table) {
        assert!(table.acquire(key(n), &at(&quota, 1)).known().is_some());
    }
    assert_eq!(table.peek(stranger, &at(&quota, 1)).known(), None);
    assert!(table.settle(stranger, &at(&quota, 1), 1).known().is_none());
    assert!(table.settle(stranger, &at(&quota, 1), -1).known().is_none());
    let later = at(&quota, SECOND + 1);
    assert!(
        table.settle(stranger, &later, -1).known().is_some(),
        "it would find one"
    );
    assert!(
        table.settle(stranger, &later, 2).known().is_some(),
        "and is given one"
    );
    assert_eq!(table.peek(stranger, &later).known().unwrap().remaining(), 0);
}

/// As [`LOG`], and counts the states that are looked at for room.
#[derive(Debug, Default)]
struct Looking(AtomicUsize);

impl Algorithm for Looking {
    fn words(&self) -> usize {
        LOG.words()
    }
    fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
        LOG.check(quota, state, now, cost)
    }
    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
        LOG.charge(quota, state, now, cost);
    }
    fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
        self.0.fetch_add(1, Ordering::Relaxed);
        LOG.forget_at(quota, state)
    }
}

/// R2 of the traps, as the table of one word has it.
#[test]
fn a_new_key_looks_at_so_many_slots_and_no_more() {
    let quota = quota();
    for room in [1, 1_000, 20_000] {
        let table = table(room);
        for n in 0..4 * slots(&table) {
            let _ = table.acquire(key(n), &at(&quota, 1));
        }
        for now in [SECOND, SECOND + 1] {
            for n in 0..4 {
                let looking = Looking::default();
                let request = request_of(&looking, &quota, now);
                let found = table.acquire(key(u64::MAX - n), &request).known();
                let seen = looking.0.into_inner();
                assert_eq!(found.is_some(), now > SECOND);
                assert!((1..=CHOICES * WAYS).contains(&seen), "{seen} of {room}");
            }
        }
    }
}

#[test]
fn a_slot_that_changes_hands_brings_nothing_along() {
    let (table, quota) = (table(1), quota());
    for n in 0..100 {
        let now = 1 + n * 2 * SECOND;
        for remaining in [2, 1, 0] {
            let decision = table.acquire(key(n), &at(&quota, now)).known().unwrap();
            assert_eq!(decision.remaining(), remaining);
        }
    }
}

#[test]
fn holds_as_many_busy_keys_as_it_promises() {
    for keys in [1_000, 100_000] {
        let (table, quota) = (table(keys), quota());
        let full = (0..keys as u64)
            .filter(|&n| table.acquire(key(n), &at(&quota, 1)).known().is_none())
            .count();
        assert!(full <= keys / 300, "{full} of {keys} keys found no place");
    }
}

#[test]
fn costs_what_it_says() {
    for (keys, words) in [(1_000, 4), (100_000, 12), (1_000, 1_001)] {
        for (summaries, more) in [(None, 1), (summaries(), 2)] {
            let table = LockedTable::with_room_for(keys, words, summaries).unwrap();
            let (bytes, said) = (table.bytes(), 16 * (words + more) * keys);
            assert!(
                (said..said + said / 60 + 1_000).contains(&bytes),
                "{bytes} bytes, not {said}, for {keys} keys"
            );
        }
    }
}

#[test]
fn what_cannot_be_addressed_is_no_table() {
    assert!(LockedTable::with_room_for(usize::MAX, 1, None).is_none());
    assert!(LockedTable::with_room_for(1, usize::MAX, None).is_none());
    assert!(LockedTable::with_room_for(1 << 32, 1 << 40, summaries()).is_none());
}

#[test]
fn threads_lose_no_charge() {
    let log = SlidingLog::for_counts_up_to(60_000);
    let (quota, table) = (
        "60000/s".parse().unwrap(),
        LockedTable::with_room_for(2, log.words(), summaries()).unwrap(),
    );
    let request = Request {
        algorithm: &log,
        ..at(&quota, 5)
    };
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for n in 0..6_000 {
                    assert!(table.acquire(key(n % 2), &request).known().is_some());
                    if n % 3 == 0 {
                        table.settle(key(n % 2), &request, -1).known();
                    }
                }
            });
        }
    });
    let used = |n| 59_999 - table.peek(key(n), &request).known().unwrap().remaining();
    assert_eq!((used(0), used(1)), (6_000, 6_000));
}

proptest! {
    /// Against a map that forgets nothing: whoever has a place is decided on as there.
    #[test]
    fn agrees_with_a_map(steps in prop::collection::vec((0_u64..40, 0_u64..SECOND, 0_i64..4), 1..300)) {
        let (table, quota) = (table(8), quota());
        let (mut model, mut now) = (HashMap::<u64, Vec<u64>>::new(), 1);
        for (name, step, by) in steps {
            now += step;
            let request = Request { cost: by as u64, ..at(&quota, now) };
            let state = model.entry(name).or_insert_with(|| vec![0; LOG.words()]);
            let expected = request.check(state);
            let Some(decision) = acquire(&table, key(name), &request) else {
                prop_assert!(LOG.forget_at(&quota, state) <= request.now);
                continue;
            };
            prop_assert_eq!(decision, expected);
            if decision.is_admitted() && by > 0 {
                request.charge(state, by);
            }
        }
    }
}

#[test]
fn shards_are_chosen_by_other_bits_than_buckets() {
    let table = table(100_000);
    let mut buckets = vec![0_u32; table.buckets_per_shard];
    for n in 0..200_000_u64 {
        let digest: Digest = DigestKey::from_words(7, 8).digest(&n);
        let key = Fingerprint::from(digest);
        let shard = scale(key.bits().rotate_left(14), table.shards.len());
        if shard == 3 {
            let slots = table.shards[3].lock();
            buckets[slots.bucket(key, 0).start / WAYS] += 1;
        }
    }
    let unused = buckets.iter().filter(|&&keys| keys == 0).count();
    assert!(unused < buckets.len() / 10, "{unused} of {}", buckets.len());
}
