//! Every interleaving of a few threads over one bucket.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p buttress-rate-limit --release --lib loom`

use loom::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use buttress_core::Digest;

use super::super::*;
use crate::sync::Ordering;

/// All in the one bucket of a table for one key.
const A: Digest = Digest::from_u128(1 << 64);
const B: Digest = Digest::from_u128(2 << 64);
const C: Digest = Digest::from_u128(3 << 64);

/// The words of a state: when it can be forgotten, and how often it was charged by whom.
fn charged(by: u64, state: u64, now: u64) -> u64 {
    let charges = if forget_at(state) < Tick::from_nanos(now) {
        0
    } else {
        state & 0xffff_ffff
    };
    ((now + 100) << 32) | (charges + by)
}

fn forget_at(state: u64) -> Tick {
    Tick::from_nanos(state >> 32)
}

/// The nth era. A state that is carried over to the next one counts twice as much.
struct Nth(Tag);

impl Era for Nth {
    fn tag(&self) -> Tag {
        self.0
    }

    fn forget_at(&self, state: u64) -> Tick {
        forget_at(state)
    }

    fn furthest(&self, now: Tick) -> u64 {
        Always.furthest(now)
    }

    fn is_of_another_time(&self, state: u64, now: Tick) -> bool {
        Always.is_of_another_time(state, now)
    }

    fn carried_over(&self, state: u64, tag: Tag) -> Option<u64> {
        let later = self.0.checked_sub(tag)?;
        Some((state & !0xffff_ffff) | ((state & 0xffff_ffff) << later))
    }
}

fn charges(table: &Table, key: Digest) -> u64 {
    charges_in(table, key, 0)
}

fn charges_in(table: &Table, key: Digest, era: Tag) -> u64 {
    table.get(key, &Nth(era)).unwrap() & 0xffff_ffff
}

/// Charges 1 per call; a foreign charge would show as one of another size.
fn charge(table: &Table, key: Digest, by: u64, now: u64) -> Updated {
    charge_in(table, key, by, now, 0)
}

fn charge_in(table: &Table, key: Digest, by: u64, now: u64, era: Tag) -> Updated {
    table.update(key, Tick::from_nanos(now), &Nth(era), |state| {
        Some(charged(by, state, now))
    })
}

fn spawn(table: &Arc<Table>, work: impl FnOnce(&Table) + Send + 'static) -> JoinHandle<()> {
    let table = Arc::clone(table);
    thread::spawn(move || work(&table))
}

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 10_000;
    builder.check(check);
}

/// A table whose only bucket has `free` slots that were never used. In the others, from the first one on,
/// stand `first` and then strangers; all of them can be forgotten after 100.
fn crowded(first: Digest, free: usize) -> Arc<Table> {
    let table = Table::with_room_for(1).unwrap();
    let strangers = (10..).map(|n: u128| Digest::from_u128(n << 64));
    for key in [first].into_iter().chain(strangers).take(WAYS - free) {
        assert_eq!(charge(&table, key, 1, 0), Updated::Done);
    }
    Arc::new(table)
}

#[test]
fn loom_two_threads_on_a_new_key_make_one_entry_and_lose_no_charge() {
    model(|| {
        let table = crowded(C, 2);
        let other = spawn(&table, |table| {
            assert_eq!(charge(table, A, 1, 5), Updated::Done)
        });
        assert_eq!(charge(&table, A, 1, 6), Updated::Done);
        other.join().unwrap();
        assert_eq!(charges(&table, A), 2);
        let fingerprint = Fingerprint::from(A).tagged(0);
        let entries = table.buckets.iter().flat_map(|bucket| &bucket.owners);
        assert_eq!(
            entries
                .filter(|owner| owner.load(Ordering::SeqCst) == fingerprint)
                .count(),
            1
        );
    });
}

#[test]
fn loom_two_new_keys_never_share_a_slot() {
    model(|| {
        let table = crowded(C, 1);
        let other = spawn(&table, |table| {
            assert_eq!(charge(table, A, 1, 150), Updated::Done)
        });
        assert_eq!(charge(&table, B, 2, 150), Updated::Done);
        other.join().unwrap();
        assert_eq!((charges(&table, A), charges(&table, B)), (1, 2));
    });
}

/// The race that two words per slot invite: one thread charges a key whose slot another one gives away.
#[test]
fn loom_a_charge_never_lands_on_a_slot_that_was_given_away() {
    model(|| {
        // A stands in the first slot of a full bucket and can be forgotten: B takes its place.
        let table = crowded(A, 0);
        let other = spawn(&table, |table| {
            assert_eq!(charge(table, B, 16, 150), Updated::Done)
        });
        let updated = charge(&table, A, 1, 150);
        other.join().unwrap();
        assert_eq!(updated, Updated::Done);
        assert_eq!(
            charges(&table, A),
            1,
            "A was forgotten or not, its charge counts"
        );
        assert_eq!(charges(&table, B), 16);
    });
}

#[test]
fn loom_giving_back_does_not_lose_a_charge() {
    model(|| {
        let table = crowded(A, 2);
        assert_eq!(charge(&table, A, 4, 5), Updated::Done);
        let other = spawn(&table, |table| {
            let updated = table.update_known(A, &Nth(0), |state| state - 3);
            assert_eq!(updated, Some(Updated::Done));
        });
        assert_eq!(charge(&table, A, 1, 6), Updated::Done);
        other.join().unwrap();
        assert_eq!(charges(&table, A), 3);
    });
}

/// One thread is of the next era: who is of the earlier one charges before the state is carried over, or is told.
#[test]
fn loom_a_charge_counts_in_its_era_or_is_told_that_it_is_over() {
    model(|| {
        let table = crowded(A, 2);
        assert_eq!(charge(&table, A, 4, 5), Updated::Done);
        let other = spawn(&table, |table| {
            assert_eq!(charge_in(table, A, 1, 6, 1), Updated::Done);
        });
        let charged = match charge(&table, A, 16, 6) {
            Updated::Done => 16,
            Updated::Stale => 0,
            Updated::Full => panic!("it is known"),
        };
        other.join().unwrap();
        // `crowded` has charged 1 to A.
        assert_eq!(charges_in(&table, A, 1), 2 * (1 + 4 + charged) + 1);
    });
}

#[test]
fn loom_who_looks_or_gives_back_finds_a_state_that_is_being_carried_over() {
    model(|| {
        let table = crowded(A, 2);
        assert_eq!(charge(&table, A, 4, 5), Updated::Done);
        let other = spawn(&table, |table| {
            assert_eq!(charge_in(table, A, 1, 6, 1), Updated::Done);
        });
        let seen = charges_in(&table, A, 1);
        assert!(seen == 10 || seen == 11, "{seen}");
        let given_back = table.update_known(A, &Nth(1), |state| state - 3);
        assert_eq!(given_back, Some(Updated::Done));
        other.join().unwrap();
        assert_eq!(charges_in(&table, A, 1), 10 + 1 - 3);
    });
}

/// Two carry the same state over, and a third key wants a slot: each is carried over once.
#[test]
fn loom_a_state_is_carried_over_once() {
    model(|| {
        let table = crowded(A, 1);
        let other = spawn(&table, |table| {
            assert_eq!(charge_in(table, A, 1, 6, 1), Updated::Done);
        });
        assert_eq!(charge_in(&table, A, 1, 6, 1), Updated::Done);
        assert_eq!(charge_in(&table, B, 1, 6, 1), Updated::Done);
        other.join().unwrap();
        assert_eq!((charges_in(&table, A, 1), charges_in(&table, B, 1)), (4, 1));
    });
}
