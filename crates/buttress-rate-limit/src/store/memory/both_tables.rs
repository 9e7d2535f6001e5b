//! Every interleaving of a few threads over a table of one word and one of several.

use buttress_core::clock::AnyClock;
use loom::thread;
use std::slice;

use super::*;
use crate::{Overflow, Quota, SlidingLog, algorithm::Kind, limiter::UNDECIDED};

const NOW: Tick = Tick::from_nanos(1_000_000_000);
const KEY: Digest = Digest::from_u128(1 << 64);

fn log() -> Kind {
    Kind::of(SlidingLog::for_counts_up_to(4))
}

fn limits<const N: usize>(kinds: [Kind; N], counts: [u64; N]) -> Vec<Arc<Limit>> {
    let build = |((ordinal, kind), count): ((u8, Kind), u64)| {
        let quota = Quota::per_hour(count).build().unwrap();
        Limit::build(
            "".into(),
            ordinal,
            quota,
            kind,
            Overflow::Refuse,
            AnyClock::default(),
        )
    };
    (0..)
        .zip(kinds)
        .zip(counts)
        .map(|numbered| Arc::new(build(numbered).unwrap()))
        .collect()
}

fn charges(limits: &[Arc<Limit>], cost: u64) -> Vec<Charge<'_>> {
    let charge = |limit| Charge {
        limit,
        key: KEY,
        quota: limit.quotas().first(),
        revision: Some(0),
        cost,
    };
    limits.iter().map(charge).collect()
}

/// As [`acquire`] of keys that are new, and once more for nothing, so that states are summarized whose algorithms do that.
fn acquire_and_summarize(store: &MemoryStore, limits: &[Arc<Limit>]) -> u64 {
    let acquired = acquire(store, limits);
    let mut out = vec![UNDECIDED; limits.len()];
    let _ = store.acquire(NOW, &charges(limits, 0), &mut out);
    acquired
}

fn acquire(store: &MemoryStore, limits: &[Arc<Limit>]) -> u64 {
    let mut out = vec![UNDECIDED; limits.len()];
    let acquired = store.acquire(NOW, &charges(limits, 1), &mut out);
    u64::from(matches!(acquired, Acquire::Admitted))
}

fn window() -> Kind {
    Kind::of(crate::SlidingWindow::of_sub_windows(2))
}

/// What was charged and not given back is what both states hold.
fn conserved(counts: [u64; 2], refund: bool) {
    for kind in [log, window] {
        conserved_by(kind, counts, refund);
    }
}

fn conserved_by(kind: fn() -> Kind, counts: [u64; 2], refund: bool) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let limits = limits([Kind::Gcra, kind()], counts);
        let store = Arc::new(MemoryStore::with_room_for(&limits, 1).unwrap());
        let mut used = acquire_and_summarize(&store, &limits);
        let other = {
            let (store, limits) = (Arc::clone(&store), limits.clone());
            thread::spawn(move || acquire(&store, &limits))
        };
        if refund {
            for limit in &limits {
                let charge = charges(slice::from_ref(limit), 1)[0];
                store.settle(NOW, &charge, -1);
            }
            used -= 1;
        } else {
            used += acquire(&store, &limits);
        }
        used += other.join().unwrap();
        for (charge, count) in charges(&limits, 0).iter().zip(counts) {
            let mut standing = UNDECIDED;
            store.peek(NOW, charge, &mut standing).unwrap();
            assert_eq!(standing.remaining(), count - used);
        }
    });
}

#[test]
fn loom_all_or_nothing_over_both_tables() {
    conserved([4, 4], false);
    // One of two is refused, by the first table or by the second, after the other was charged.
    conserved([2, 4], false);
    conserved([4, 2], false);
}

#[test]
fn loom_giving_back_beside_a_charge() {
    conserved([4, 4], true);
    conserved([4, 1], true);
    conserved([1, 4], true);
}

/// Two states behind locks with one between them that is swapped, asked for in one order by one thread and in the
/// other by another, while that one is charged by itself: nobody waits for ever, and all or none are charged.
#[test]
fn loom_several_locks_in_either_order() {
    for counts in [[4, 4, 4], [4, 2, 4], [4, 4, 2]] {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(move || {
            let limits = limits([log(), Kind::Gcra, window()], counts);
            let store = Arc::new(MemoryStore::with_room_for(&limits, 1).unwrap());
            let mut used = acquire_and_summarize(&store, &limits);
            let other = {
                let (store, limits) = (Arc::clone(&store), limits.clone());
                thread::spawn(move || {
                    let backwards: Vec<_> = limits.iter().rev().cloned().collect();
                    acquire(&store, &backwards)
                })
            };
            used += acquire(&store, &limits);
            used += other.join().unwrap();
            for (charge, count) in charges(&limits, 0).iter().zip(counts) {
                let mut standing = UNDECIDED;
                store.peek(NOW, charge, &mut standing).unwrap();
                assert_eq!(standing.remaining(), count - used);
            }
        });
    }
}

/// The swapped one is charged by itself meanwhile: who is outrun there lets go of the locks, takes back what was charged,
/// and asks again.
#[test]
fn loom_who_is_outrun_lets_go() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let limits = limits([window(), Kind::Gcra, Kind::FixedWindow], [4, 3, 3]);
        let store = Arc::new(MemoryStore::with_room_for(&limits, 1).unwrap());
        let before = acquire_and_summarize(&store, &limits);
        let other = {
            let (store, limits) = (Arc::clone(&store), limits.clone());
            thread::spawn(move || {
                for limit in limits.iter().skip(1) {
                    store.settle(NOW, &charges(slice::from_ref(limit), 1)[0], 1);
                }
            })
        };
        let used = before + acquire(&store, &limits);
        other.join().unwrap();
        for (charge, left) in charges(&limits, 0).iter().zip([4, 2, 2]) {
            let mut standing = UNDECIDED;
            store.peek(NOW, charge, &mut standing).unwrap();
            assert_eq!(standing.remaining(), left - used);
        }
    });
}

/// Two states behind locks, of which one is decided on by its summary: who is refused by the other lets go of that before it
/// looks how the first stands, since others wait for them in the order of the limits.
#[test]
fn loom_who_is_refused_lets_go() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let limits = limits([window(), window()], [4, 1]);
        let store = Arc::new(MemoryStore::with_room_for(&limits, 1).unwrap());
        assert_eq!(acquire_and_summarize(&store, &limits), 1);
        let other = {
            let (store, limits) = (Arc::clone(&store), limits.clone());
            thread::spawn(move || {
                // More than a summary tells of.
                let _ = store.acquire(NOW, &charges(&limits, 3), &mut [UNDECIDED; 2]);
            })
        };
        assert_eq!(acquire(&store, &limits), 0);
        other.join().unwrap();
        for (charge, left) in charges(&limits, 0).iter().zip([3, 0]) {
            let mut standing = UNDECIDED;
            store.peek(NOW, charge, &mut standing).unwrap();
            assert_eq!(standing.remaining(), left);
        }
    });
}
