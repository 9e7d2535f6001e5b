//! Algorithms of users' own.

use super::*;

/// What an algorithm keeps beside the time at which a state can be forgotten is another key's.
#[test]
fn a_new_key_finds_zeros() {
    #[derive(Debug)]
    struct FindsZeros;
    impl Algorithm for FindsZeros {
        fn words(&self) -> usize {
            LOG.words()
        }
        fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
            LOG.check(quota, state, now, cost)
        }
        fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
            assert!(state.iter().all(|&word| word == 0), "{state:?}");
            LOG.charge(quota, state, now, cost);
        }
        fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
            LOG.forget_at(quota, state)
        }
    }
    let (table, quota) = (table(1), quota());
    for n in 0..20 {
        let request = request_of(&FindsZeros, &quota, 1 + n * SECOND);
        assert!(table.acquire(key(n), &request).known().is_some());
    }
}

/// An algorithm of somebody else's that panics leaves neither a lock nor half an entry behind.
#[test]
fn an_algorithm_that_panics_harms_nobody_else() {
    #[derive(Debug)]
    struct Panics;
    impl Algorithm for Panics {
        fn words(&self) -> usize {
            LOG.words()
        }
        fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
            LOG.check(quota, state, now, cost)
        }
        fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, _: i64) {
            LOG.charge(quota, state, now, 3);
            panic!("as it was told to");
        }
        fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
            LOG.forget_at(quota, state)
        }
    }
    let (table, quota) = (table(1), quota());
    let panics = |n, now| {
        let request = request_of(&Panics, &quota, now);
        thread::scope(|scope| {
            let panicked = scope
                .spawn(|| table.acquire(key(n), &request).known())
                .join();
            assert!(panicked.is_err());
        });
    };
    panics(1, 1);
    for n in 1..=slots(&table) {
        let decision = table.acquire(key(n), &at(&quota, 1)).known().unwrap();
        assert_eq!(decision.remaining(), 2);
    }
    // Nor with one whose place was to be given away.
    let later = 2 * SECOND;
    panics(100, later);
    for n in 1..=slots(&table) {
        let decision = table.acquire(key(n), &at(&quota, later)).known().unwrap();
        assert_eq!(decision.remaining(), 2, "{n}");
    }
}
