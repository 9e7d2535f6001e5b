//! What becomes of states when a quota changes.

use super::*;

/// As [`at`], under the quota after the first.
fn changed(first: &Quota, to: &'static str, now: u64) -> Request<'static, SlidingLog> {
    let (to, quotas) = (to.parse().unwrap(), InForce::new(*first));
    quotas.change(&LOG, to, Tick::from_nanos(now)).unwrap();
    Request {
        quotas: Box::leak(Box::new(quotas)),
        revision: 1,
        ..at(Box::leak(Box::new(to)), now)
    }
}

/// Wherever it stands: some keys find no place in their first bucket, nor in their second.
#[test]
fn every_key_is_carried_over_to_another_quota() {
    let (table, quota) = (table(1_000), quota());
    let has_place = |&n: &u64| table.acquire(key(n), &at(&quota, 1)).known().is_some();
    let placed: Vec<_> = (0..1_000).filter(has_place).collect();
    let later = changed(&quota, "3/min", 2);
    for n in placed {
        let standing = table.peek(key(n), &later).known().unwrap();
        assert_eq!(standing.remaining(), 1, "{n}");
    }
}

/// Who looks for room reckons what others have left, and leaves them as they are.
#[test]
fn who_looks_for_room_carries_nobody_over() {
    let quota = "2/s".parse().unwrap();
    let table = table(1);
    for n in 0..slots(&table) {
        assert!(table.acquire(key(n), &at(&quota, 1)).known().is_some());
    }
    let later = changed(&quota, "3/s", 2);
    for n in 0..9 {
        assert_eq!(table.acquire(key(100 + n), &later).known(), None);
    }
    for n in 0..slots(&table) {
        // Half of two is rounded up to two of three.
        let standing = table.peek(key(n), &later).known().unwrap();
        assert!(standing.is_admitted(), "{n}");
    }
}

/// It would else become as much as was used once more with each request.
#[test]
fn what_keys_without_a_place_share_is_carried_over_once() {
    let (table, quota) = (table(1), "2/s".parse().unwrap());
    assert!(table.acquire_shared(&at(&quota, 1)).unwrap().is_admitted());
    let later = changed(&quota, "3/s", 2);
    for _ in 0..3 {
        assert!(table.peek_shared(&later).unwrap().is_admitted());
    }
}
