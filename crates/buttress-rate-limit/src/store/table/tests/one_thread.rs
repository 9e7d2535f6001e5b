use std::{cell::Cell, collections::HashMap};

use buttress_core::{Digest, DigestKey};
use proptest::prelude::*;

use super::super::{find::CHOICES, *};
use crate::sync::Ordering;

impl Table {
    /// The state of a key in a table of one era.
    fn known(&self, key: Digest) -> u64 {
        self.get(key, &Always).unwrap()
    }
}

fn put(table: &Table, key: Digest, now: u64, state: u64) -> Updated {
    table.update(key, Tick::from_nanos(now), &Always, |_| Some(state))
}

fn key(n: u64) -> Digest {
    DigestKey::from_words(7, 8).digest(&n)
}

#[test]
fn remembers_what_was_put() {
    let table = Table::with_room_for(100).unwrap();
    assert_eq!(table.known(key(1)), 0);
    assert_eq!(put(&table, key(1), 5, 60), Updated::Done);
    assert_eq!(put(&table, key(2), 5, 70), Updated::Done);
    assert_eq!((table.known(key(1)), table.known(key(2))), (60, 70));
}

#[test]
fn a_decision_to_leave_it_takes_no_slot() {
    let table = Table::with_room_for(1).unwrap();
    for n in 0..1_000 {
        assert_eq!(
            table.update(key(n), Tick::ZERO, &Always, |_| None),
            Updated::Done
        );
    }
    assert!(
        table
            .buckets
            .iter()
            .flat_map(|bucket| &bucket.states)
            .all(|state| state.load(Ordering::Relaxed) == 0)
    );
}

#[test]
fn only_what_can_be_forgotten_makes_room() {
    let table = Table::with_room_for(1).unwrap();
    let slots = (table.buckets.len() * WAYS) as u64;
    for n in 0..slots {
        assert_eq!(put(&table, key(n), 0, 100), Updated::Done);
    }
    // Until and at their time, all are kept; after it, each makes room.
    assert_eq!(put(&table, key(slots), 99, 200), Updated::Full);
    assert_eq!(put(&table, key(slots), 100, 200), Updated::Full);
    assert!((0..slots).all(|n| table.known(key(n)) == 100));
    assert_eq!(put(&table, key(slots), 101, 200), Updated::Done);
    assert_eq!(table.known(key(slots)), 200);
}

#[test]
fn what_is_busy_can_still_be_updated_when_the_table_is_full() {
    let table = Table::with_room_for(1).unwrap();
    let slots = (table.buckets.len() * WAYS) as u64;
    for n in 0..slots {
        put(&table, key(n), 0, 100);
    }
    assert_eq!(put(&table, key(0), 1, 101), Updated::Done);
    assert_eq!(table.known(key(0)), 101);
}

/// Any other would make the keys of a quiet table drive each other out.
#[test]
fn the_one_that_could_be_forgotten_for_the_longest_time_makes_room() {
    let table = Table::with_room_for(1).unwrap();
    let slots = (table.buckets.len() * WAYS) as u64;
    let until = |n: u64| 100 + (n + 2) % slots;
    for n in 0..slots {
        put(&table, key(n), 0, until(n));
    }
    let oldest = (0..slots).min_by_key(|&n| until(n)).unwrap();
    assert_eq!(put(&table, key(slots), 1_000, 2_000), Updated::Done);
    for n in 0..slots {
        assert_eq!(table.known(key(n)) == 0, n == oldest, "{n}");
    }
}

#[test]
fn holds_as_many_busy_keys_as_it_promises() {
    const KEYS: u64 = 100_000;
    let table = Table::with_room_for(KEYS as usize).unwrap();
    let full = (0..KEYS)
        .filter(|&n| put(&table, key(n), 0, 1_000) == Updated::Full)
        .count();
    assert!(
        full < KEYS as usize / 500,
        "{full} of {KEYS} keys found no place"
    );
    let kept = (0..KEYS).filter(|&n| table.known(key(n)) == 1_000).count();
    assert_eq!(kept + full, KEYS as usize);
}

#[test]
fn costs_what_it_says() {
    for keys in [1_000, 100_000] {
        let bytes = Table::with_room_for(keys).unwrap().bytes();
        assert!(
            (32 * keys..32 * keys + 2_048).contains(&bytes),
            "{bytes} bytes for {keys} keys"
        );
    }
}

/// However many keys arrive, the buckets are those of the first day.
#[test]
fn a_flood_does_not_grow_it() {
    let table = Table::with_room_for(64).unwrap();
    let (bytes, address) = (table.bytes(), table.buckets.as_ptr());
    for n in 0..100_000 {
        put(&table, key(n), n, n + 10);
    }
    assert_eq!((table.bytes(), table.buckets.as_ptr()), (bytes, address));
}

/// As [`Always`], and counts the states that are looked at.
struct Looking<'a>(&'a Cell<usize>);

impl Era for Looking<'_> {
    fn tag(&self) -> Tag {
        Always.tag()
    }

    fn forget_at(&self, state: u64) -> Tick {
        self.0.set(self.0.get() + 1);
        Always.forget_at(state)
    }

    fn furthest(&self, now: Tick) -> u64 {
        Always.furthest(now)
    }

    fn is_of_another_time(&self, state: u64, now: Tick) -> bool {
        Always.is_of_another_time(state, now)
    }

    fn carried_over(&self, state: u64, tag: Tag) -> Option<u64> {
        Always.carried_over(state, tag)
    }
}

/// R2 of the traps: at the cap too, a new key looks at the slots that it could have and at no others, whether it gets one or
/// not, and however large the table is.
#[test]
fn a_new_key_looks_at_so_many_slots_and_no_more() {
    for room in [1, 1_000, 20_000] {
        let table = Table::with_room_for(room).unwrap();
        let slots = (table.buckets.len() * WAYS) as u64;
        for n in 0..4 * slots {
            put(&table, key(n), 0, 100);
        }
        for (now, expected) in [(100, Updated::Full), (101, Updated::Done)] {
            for n in 0..4 {
                let (stranger, seen) = (key(u64::MAX - n), Cell::new(0));
                let looking = Looking(&seen);
                let now = Tick::from_nanos(now);
                let updated = table.update(stranger, now, &looking, |_| Some(100));
                assert_eq!(updated, expected);
                assert!(
                    (1..=CHOICES * WAYS).contains(&seen.get()),
                    "{} of {room}",
                    seen.get()
                );
            }
        }
    }
}

#[test]
fn no_state_passes_for_the_mark_of_a_slot_in_passing() {
    let table = Table::with_room_for(1).unwrap();
    put(&table, key(1), 0, u64::MAX);
    assert_eq!(table.known(key(1)), u64::MAX - 1);
    put(&table, key(1), 0, u64::MAX);
    assert_eq!(table.known(key(1)), u64::MAX - 1);
}

proptest! {
    /// Against a map that forgets nothing: whatever the table still knows is right, and what it does not
    /// know could be forgotten, or never found room.
    #[test]
    fn agrees_with_a_map(steps in prop::collection::vec((0_u64..40, 0_u64..20, 1_u64..60), 1..400)) {
        let table = Table::with_room_for(8).unwrap();
        let mut model = HashMap::new();
        let mut now = 1;
        for (name, step, ahead) in steps {
            now += step;
            if put(&table, key(name), now, now + ahead) == Updated::Done {
                model.insert(name, now + ahead);
            }
            for (&name, &state) in &model {
                let known = table.known(key(name));
                prop_assert!(known == state || (known == 0 && state < now), "{name}: {known}, not {state}, at {now}");
            }
        }
    }
}
