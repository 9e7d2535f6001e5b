use std::{sync::Arc, thread};

use buttress_core::{DigestKey, clock::AnyClock};
use proptest::prelude::*;

use super::{course::Course, *};
use crate::{
    FixedWindow, Gcra, Overflow, Quota, SlidingLog, SlidingWindow, algorithm::Kind,
    algorithm::OneWord, limiter::UNDECIDED,
};

const NOW: Tick = Tick::from_nanos(1_000_000_000);

fn limits(overflow: Overflow, quotas: &[&str]) -> Vec<Arc<Limit>> {
    let build = |(ordinal, text): (u8, &&str)| {
        Limit::build(
            text.to_string().into(),
            ordinal,
            text.parse().unwrap(),
            Kind::Gcra,
            overflow,
            AnyClock::default(),
        )
    };
    (0..)
        .zip(quotas)
        .map(|numbered| Arc::new(build(numbered).unwrap()))
        .collect()
}

/// A limit of one word beside limits of several: all-or-nothing holds over both kinds of tables.
fn mixed(overflow: Overflow, counts: [u64; 4]) -> Vec<Arc<Limit>> {
    let kinds = [
        Kind::of(Gcra),
        Kind::of(SlidingLog::for_counts_up_to(20)),
        Kind::of(FixedWindow),
        Kind::of(SlidingWindow::of_sub_windows(3)),
    ];
    let build = |((ordinal, kind), count): ((u8, Kind), u64)| {
        let quota = Quota::per_hour(count).build().unwrap();
        Limit::build(
            "mixed".into(),
            ordinal,
            quota,
            kind,
            overflow,
            AnyClock::default(),
        )
    };
    (0..)
        .zip(kinds)
        .zip(counts)
        .map(|numbered| Arc::new(build(numbered).unwrap()))
        .collect()
}

fn charges<'a>(limits: &'a [Arc<Limit>], key: u64) -> Vec<Charge<'a>> {
    let key = DigestKey::from_words(1, 2).digest(&key);
    limits
        .iter()
        .map(|limit| Charge {
            limit,
            key,
            quota: limit.quotas().first(),
            revision: Some(0),
            cost: 1,
        })
        .collect()
}

fn remaining(store: &MemoryStore, charges: &[Charge<'_>]) -> Vec<u64> {
    let peek = |charge: &Charge<'_>| {
        let mut decision = crate::limiter::UNDECIDED;
        store
            .peek(NOW, &Charge { cost: 0, ..*charge }, &mut decision)
            .unwrap();
        decision.remaining()
    };
    charges.iter().map(peek).collect()
}

fn acquire(store: &MemoryStore, charges: &[Charge<'_>]) -> (bool, Vec<Decision>) {
    let mut out = vec![crate::limiter::UNDECIDED; charges.len()];
    (
        matches!(store.acquire(NOW, charges, &mut out), Acquire::Admitted),
        out,
    )
}

#[test]
fn all_or_nothing() {
    let limits = limits(Overflow::Share, &["9/h", "1/h", "5/h"]);
    let (store, charges) = (
        MemoryStore::with_room_for(&limits, 10).unwrap(),
        charges(&limits, 1),
    );
    assert!(acquire(&store, &charges).0);
    assert_eq!(remaining(&store, &charges), [8, 0, 4]);
    let (admitted, out) = acquire(&store, &charges);
    assert!(!admitted);
    assert_eq!(remaining(&store, &charges), [8, 0, 4]);
    assert_eq!(
        out.iter().map(Decision::remaining).collect::<Vec<_>>(),
        [8, 0, 4]
    );
    assert_eq!(
        out.iter().map(Decision::is_admitted).collect::<Vec<_>>(),
        [true, false, true]
    );
}

/// Fills every slot that a table has, so that the next new key finds no place.
fn crowd(store: &MemoryStore, limits: &[Arc<Limit>]) {
    for key in 1_000..1_100 {
        let _ = acquire(store, &charges(limits, key));
    }
}

#[test]
fn keys_without_a_place_share_one_bucket_by_default() {
    let limits = limits(Overflow::Share, &["2/h"]);
    let store = MemoryStore::with_room_for(&limits, 1).unwrap();
    crowd(&store, &limits);
    let admitted = (0..10)
        .filter(|&key| acquire(&store, &charges(&limits, key)).0)
        .count();
    assert_eq!(admitted, 0, "the crowd has used the shared bucket up");
}

#[test]
fn keys_without_a_place_pass_or_wait_where_the_user_says_so() {
    for (overflow, expected) in [(Overflow::Admit, 10), (Overflow::Refuse, 0)] {
        let limits = limits(overflow, &["2/h"]);
        let store = MemoryStore::with_room_for(&limits, 1).unwrap();
        crowd(&store, &limits);
        let admitted = (0..10)
            .filter(|&key| acquire(&store, &charges(&limits, key)).0)
            .count();
        assert_eq!(admitted, expected, "{overflow:?}");
    }
    let limits = limits(Overflow::Refuse, &["2/h"]);
    let store = MemoryStore::with_room_for(&limits, 1).unwrap();
    crowd(&store, &limits);
    let (_, out) = acquire(&store, &charges(&limits, 1));
    assert_eq!(out[0].retry_after(), Some(limits[0].quota().interval()));
}

/// Each key is known: what is decided on under all locks at once is told and charged as it is one by one.
#[test]
fn a_refusal_by_one_of_several_locked_states_charges_none() {
    for counts in [[9, 1, 9, 9], [9, 9, 9, 1], [1, 9, 9, 9]] {
        let limits = mixed(Overflow::Share, counts);
        let store = MemoryStore::with_room_for(&limits, 10).unwrap();
        let charges = charges(&limits, 1);
        assert!(acquire(&store, &charges).0);
        let left = counts.map(|count| count - 1);
        let (admitted, out) = acquire(&store, &charges);
        assert!(!admitted);
        assert_eq!(remaining(&store, &charges), left);
        assert_eq!(
            out.iter().map(Decision::remaining).collect::<Vec<_>>(),
            left
        );
        let admits: Vec<_> = out.iter().map(Decision::is_admitted).collect();
        assert_eq!(admits, counts.map(|count| count > 1));
    }
}

/// Nor does it where most is decided on summaries, which tell nothing of who is charged nothing.
#[test]
fn a_refusal_tells_how_what_is_summarized_stands() {
    for counts in [[3, 9, 9, 9], [9, 9, 3, 9], [9, 9, 9, 3]] {
        let limits = mixed(Overflow::Share, counts);
        let store = MemoryStore::with_room_for(&limits, 10).unwrap();
        let charges = charges(&limits, 1);
        for _ in 0..3 {
            assert!(acquire(&store, &charges).0);
        }
        let left = counts.map(|count| count - 3);
        for _ in 0..2 {
            let (admitted, out) = acquire(&store, &charges);
            assert!(!admitted);
            let told: Vec<_> = out.iter().map(Decision::remaining).collect();
            assert_eq!(told, left);
        }
        assert_eq!(remaining(&store, &charges), left);
    }
}

/// A store of somebody's own may ask so. Whoever has locked a state does not wait for it a second time.
#[test]
fn a_limit_may_be_charged_twice_by_one_request() {
    let limits = mixed(Overflow::Share, [9; 4]);
    let store = MemoryStore::with_room_for(&limits, 10).unwrap();
    let once = charges(&limits, 1);
    assert!(acquire(&store, &once).0);
    let twice: Vec<_> = once.iter().rev().chain(&once).copied().collect();
    for left in [6, 4, 2, 0] {
        assert!(acquire(&store, &twice).0);
        assert_eq!(remaining(&store, &once), [left; 4]);
    }
    assert!(!acquire(&store, &twice).0);
    assert_eq!(remaining(&store, &once), [0; 4]);
}

/// How the bucket of a limit of one word stands that keys without a place share.
fn remaining_of_shared(store: &MemoryStore, limit: &Limit) -> u64 {
    let course = Course::of(&Gcra, limit, limit.quotas().first(), Some(0));
    let state = store.shared_bucket(limit).unwrap().get(SHARED, &course);
    OneWord::check(&Gcra, limit.quotas().first(), state.unwrap(), NOW, 0).remaining()
}

/// The crowd takes a limit's slots, and the key's charge goes to the shared bucket; the limit after it
/// refuses only when it is charged. What the shared bucket was charged comes back.
#[test]
fn a_charge_to_the_shared_bucket_is_taken_back_too() {
    let limits = limits(Overflow::Share, &["50/h burst 50", "2/h"]);
    let store = MemoryStore::with_room_for(&limits, 1).unwrap();
    crowd(&store, &limits);
    let shared = || remaining_of_shared(&store, &limits[0]);
    let before = shared();
    let (admitted, _) = acquire(&store, &charges(&limits, 1));
    assert!(!admitted, "the second limit's shared bucket is used up");
    assert_eq!(shared(), before);
}

#[test]
fn what_the_shared_bucket_of_longer_states_was_charged_comes_back() {
    let mut limits = mixed(Overflow::Share, [50, 20, 50, 2]);
    limits.remove(0);
    let limits: Vec<_> = (0..)
        .zip(&limits)
        .map(|(ordinal, limit)| {
            let kind = limit.kind().clone();
            let (share, clock) = (Overflow::Share, AnyClock::default());
            let limit = Limit::build("".into(), ordinal, limit.quota(), kind, share, clock);
            Arc::new(limit.unwrap())
        })
        .collect();
    let store = MemoryStore::with_room_for(&limits, 1).unwrap();
    // One by one, so that a limit that is used up does not keep the others' slots free.
    for key in 1_000..1_020 {
        for charge in &charges(&limits, key) {
            let _ = acquire(&store, &[*charge]);
        }
    }
    let shared = |n: usize| {
        let charge = Charge {
            cost: 0,
            ..charges(&limits, 1)[n]
        };
        let mut decision = UNDECIDED;
        let charged = store.acquire_charge(NOW, &charge, &mut decision);
        charged.map(|_| decision.remaining()).unwrap()
    };
    let before = shared(0);
    let (admitted, _) = acquire(&store, &charges(&limits, 1));
    assert!(!admitted, "the last limit's shared bucket is used up");
    assert_eq!(shared(0), before);
}

/// Whatever the interleaving: what was admitted is what the states hold.
#[test]
fn threads_over_both_kinds_of_tables_charge_all_or_nothing() {
    let limits = mixed(Overflow::Share, [20, 17, 19, 18]);
    for _ in 0..50 {
        let store = MemoryStore::with_room_for(&limits, 10).unwrap();
        let admitted: usize = thread::scope(|scope| {
            let send = || {
                let charges = charges(&limits, 1);
                (0..15).filter(|_| acquire(&store, &charges).0).count()
            };
            let threads = [scope.spawn(send), scope.spawn(send), scope.spawn(send)];
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        let used = admitted as u64;
        assert!(used <= 17);
        assert_eq!(
            remaining(&store, &charges(&limits, 1)),
            [20 - used, 17 - used, 19 - used, 18 - used]
        );
    }
}

proptest! {
    /// On one thread: admitted exactly if each limit alone would admit, and charged only then.
    #[test]
    fn several_limits_are_the_conjunction_of_each(keys in prop::collection::vec(0_u64..4, 1..60)) {
        let limits = limits(Overflow::Share, &["7/h", "3/h", "11/h"]);
        let store = MemoryStore::with_room_for(&limits, 50).unwrap();
        let mut used = [0_u64; 4];
        for key in keys {
            let charges = charges(&limits, key);
            let (admitted, _) = acquire(&store, &charges);
            let used = &mut used[key as usize];
            prop_assert_eq!(admitted, *used < 3);
            *used += u64::from(admitted);
            prop_assert_eq!(remaining(&store, &charges), vec![7 - *used, 3 - *used, 11 - *used]);
        }
    }

    #[test]
    fn and_so_they_are_over_both_kinds_of_tables(
        keys in prop::collection::vec(0_u64..4, 1..60), counts in prop::array::uniform4(1_u64..15),
    ) {
        let limits = mixed(Overflow::Share, counts);
        let store = MemoryStore::with_room_for(&limits, 50).unwrap();
        let mut used = [0_u64; 4];
        for key in keys {
            let charges = charges(&limits, key);
            let (admitted, _) = acquire(&store, &charges);
            let used = &mut used[key as usize];
            prop_assert_eq!(admitted, counts.iter().all(|count| *used < *count));
            *used += u64::from(admitted);
            prop_assert_eq!(remaining(&store, &charges), counts.map(|count| count - *used));
        }
    }

    /// Settling moves one key's state and nobody else's; a key that is unknown was full, and has nothing to
    /// be given back.
    #[test]
    fn settling_is_the_keys_own(by in prop::collection::vec(-5_i64..5, 0..10)) {
        let limits = limits(Overflow::Share, &["100/h"]);
        let store = MemoryStore::with_room_for(&limits, 50).unwrap();
        let (known, unknown) = (charges(&limits, 1), charges(&limits, 2));
        for _ in 0..50 {
            prop_assert!(acquire(&store, &known).0);
        }
        let mut expected = 50_i64;
        for by in by {
            store.settle(NOW, &known[0], by);
            store.settle(NOW, &unknown[0], -by.abs());
            expected -= by;
        }
        prop_assert_eq!(remaining(&store, &known), vec![expected as u64]);
        prop_assert_eq!(remaining(&store, &unknown), vec![100]);
    }
}

/// What was full was forgotten; charged afterwards, it is remembered again.
#[test]
fn an_unknown_key_can_be_charged_afterwards() {
    let limits = limits(Overflow::Share, &["10/h"]);
    let store = MemoryStore::with_room_for(&limits, 10).unwrap();
    let charges = self::charges(&limits, 1);
    store.settle(NOW, &charges[0], 4);
    assert_eq!(remaining(&store, &charges), [6]);

    let limits = mixed(Overflow::Share, [10; 4]);
    let store = MemoryStore::with_room_for(&limits, 10).unwrap();
    let charges = self::charges(&limits, 1);
    for charge in &charges {
        store.settle(NOW, charge, 4);
    }
    assert_eq!(remaining(&store, &charges), [6; 4]);
}

/// A store of somebody's own hands on what it was asked a moment ago: the quota that is in force by then decides.
#[test]
fn who_asks_under_an_older_quota_is_answered_under_the_one_in_force() {
    let alone = |kind| {
        let (quota, clock) = ("4/h".parse().unwrap(), AnyClock::default());
        let limit = Limit::build("alone".into(), 0, quota, kind, Overflow::Share, clock);
        vec![Arc::new(limit.unwrap())]
    };
    for limits in [
        alone(Kind::Gcra),
        alone(Kind::of(SlidingLog::for_counts_up_to(20))),
        alone(Kind::of(SlidingWindow::of_sub_windows(3))),
        mixed(Overflow::Share, [4; 4]),
    ] {
        let store = MemoryStore::with_room_for(&limits, 10).unwrap();
        for limit in &limits {
            let twice = "8/h".parse().unwrap();
            limit.set_quota_at(twice, NOW).unwrap();
        }
        let in_force: Vec<_> = limits.iter().map(|limit| limit.in_force()).collect();
        let older = charges(&limits, 1);
        let newer: Vec<_> = older
            .iter()
            .zip(&in_force)
            .map(|(charge, (quota, revision))| Charge {
                quota,
                revision: Some(*revision),
                cost: 4,
                ..*charge
            })
            .collect();
        assert!(acquire(&store, &newer).0);
        let (admitted, out) = acquire(&store, &older);
        assert!(admitted);
        assert!(
            out.iter().all(|decision| decision.remaining() == 3),
            "{out:?}"
        );
    }
}
