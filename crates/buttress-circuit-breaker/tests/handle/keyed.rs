//! One circuit for each key, and a bound on them. B7 of the traps.

use std::sync::{Arc, Mutex};

use buttress_circuit_breaker::{
    CircuitBreakerBuilder, CircuitBreakers, Event, Happening, OnThrottled, Outcome, PerKey, Reason,
    State, Trip,
};
use buttress_core::{DigestKey, clock::ManualClock};
use proptest::prelude::*;

use crate::SECOND;

fn touchy(clock: &ManualClock, max_keys: usize) -> CircuitBreakerBuilder<PerKey> {
    CircuitBreakers::per_key(Trip::consecutive_failures(1))
        .open_for(5 * SECOND)
        .probes(1)
        .max_keys(max_keys)
        .digest_key(DigestKey::from_words(1, 2))
        .clock(clock.clone())
}

fn call(circuits: &CircuitBreakers, key: u32, outcome: Outcome) -> bool {
    let permit = circuits.try_acquire(&key);
    permit.map(|permit| permit.record(outcome)).is_ok()
}

#[tokio::test]
async fn each_key_has_its_own_circuit() {
    let clock = ManualClock::default();
    let circuits = touchy(&clock, 10).build().unwrap();
    assert_eq!(circuits.state("a"), None);
    assert!(
        circuits
            .run("a", async { Err::<(), _>("down") })
            .await
            .is_err()
    );
    assert!(circuits.run("b", async { Ok::<_, ()>(()) }).await.is_ok());
    assert_eq!(circuits.state("a"), Some(State::Open));
    assert_eq!(circuits.state("b"), Some(State::Closed));
    assert_eq!(
        circuits.snapshot("a").unwrap().retry_after,
        Some(5 * SECOND)
    );
    assert!(circuits.try_acquire_owned("a").is_err());
    clock.advance(5 * SECOND);
    circuits
        .try_acquire_owned("a")
        .unwrap()
        .record(Outcome::Success);
    assert_eq!(circuits.state("a"), Some(State::Closed));
}

#[test]
fn switches_are_turned_by_key() {
    let circuits = touchy(&ManualClock::default(), 10).build().unwrap();
    assert!(circuits.force_open("a"));
    assert!(circuits.try_acquire("a").is_err() && circuits.try_acquire("b").is_ok());
    assert!(circuits.metrics_only("b") && circuits.disable("c"));
    assert_eq!(circuits.state("b"), Some(State::MetricsOnly));
    assert_eq!(circuits.state("c"), Some(State::Disabled));
    assert!(circuits.close("a") && circuits.try_acquire("a").is_ok());
}

/// Rule 6 of the house: a bound, whatever an attacker sends.
#[test]
fn a_flood_of_keys_makes_no_more_circuits_than_there_are_places() {
    let circuits = touchy(&ManualClock::default(), 100).build().unwrap();
    for key in 0..50_000 {
        assert!(call(&circuits, key, Outcome::Success));
    }
    assert_eq!(circuits.capacity(), 200);
    assert_eq!(circuits.len(), 200);
}

/// A hundred upstreams are down; then a flood of others comes by.
#[test]
fn an_open_circuit_is_not_forgotten() {
    let circuits = touchy(&ManualClock::default(), 100).build().unwrap();
    for key in 0..100 {
        call(&circuits, key, Outcome::Failure);
    }
    let open: Vec<u32> = (0..100)
        .filter(|key| !call(&circuits, *key, Outcome::Success))
        .collect();
    assert!(open.len() >= 99, "all but one found room: {}", open.len());
    for key in 1_000..50_000 {
        // Twice, so that they look as if they were in use.
        call(&circuits, key, Outcome::Success);
        call(&circuits, key, Outcome::Success);
    }
    for key in open {
        assert_eq!(circuits.state(&key), Some(State::Open));
    }
}

/// Nor is a word of the upstream's: a flood of others does not shorten its Retry-After.
#[test]
fn a_parked_circuit_is_not_forgotten() {
    let clock = ManualClock::default();
    let circuits = touchy(&clock, 8).build().unwrap();
    let retry_after = Some(60 * SECOND);
    assert!(call(&circuits, 0, Outcome::Throttled { retry_after }));
    for key in 1..1_000 {
        call(&circuits, key, Outcome::Success);
        call(&circuits, key, Outcome::Success);
    }
    assert!(!call(&circuits, 0, Outcome::Success));
    // Once its time is up it is like the others.
    clock.advance(60 * SECOND);
    for key in 1..1_000 {
        call(&circuits, key, Outcome::Success);
        call(&circuits, key, Outcome::Success);
    }
    assert_eq!(circuits.state(&0_u32), None);
}

/// As many keys as were promised room stay, though they do nothing but be called.
#[test]
fn keys_within_the_bound_are_kept() {
    let circuits = CircuitBreakers::per_key(Trip::consecutive_failures(2))
        .max_keys(1_000)
        .digest_key(DigestKey::from_words(3, 4))
        .build()
        .unwrap();
    for key in 0..1_000 {
        call(&circuits, key, Outcome::Failure);
    }
    for key in 0..1_000 {
        call(&circuits, key, Outcome::Failure);
    }
    let open = (0..1_000_u32).filter(|key| circuits.state(key) == Some(State::Open));
    assert!(open.count() >= 999);
}

/// Idle and closed goes first: a key that is called between strangers keeps what it counted.
#[test]
fn who_is_called_stays_and_who_is_not_goes() {
    let circuits = CircuitBreakers::per_key(Trip::consecutive_failures(2))
        .max_keys(8)
        .digest_key(DigestKey::from_words(5, 6))
        .build()
        .unwrap();
    call(&circuits, 0, Outcome::Failure);
    for key in 1..2_000 {
        call(&circuits, key, Outcome::Success);
        call(&circuits, 0, Outcome::Ignored);
    }
    assert_eq!(circuits.snapshot(&0_u32).map(|of| of.failures), Some(1));
    assert_eq!(circuits.len(), 16);
}

/// Where all circuits are open, a new key's calls go: cutting off the well would be worse.
#[test]
fn without_room_calls_go_unwatched() {
    let unwatched: Arc<Mutex<Vec<u32>>> = Arc::default();
    let log = Arc::clone(&unwatched);
    let secret = DigestKey::from_words(1, 2);
    let circuits = touchy(&ManualClock::default(), 1)
        .observer(move |event: &Event<'_>| {
            if event.happening == Happening::NoRoom {
                let key = (0..1_000_u32).find(|key| Some(secret.digest(key)) == event.key);
                log.lock().unwrap().extend(key);
            }
        })
        .build()
        .unwrap();
    let mut open = 0;
    for key in 0..100 {
        call(&circuits, key, Outcome::Failure);
        open += usize::from(circuits.state(&key) == Some(State::Open));
    }
    assert_eq!((open, circuits.capacity()), (8, 8));
    assert_eq!(unwatched.lock().unwrap().len(), 92);
    assert!(!circuits.force_open(&99_u32), "there is no room for it");
    assert!((8..100).all(|key| call(&circuits, key, Outcome::Failure)));
}

/// Hosts that are gone for good are called no more: their circuits would stay open, and keep all the room there is.
#[test]
fn circuits_whose_time_is_up_make_room_at_last() {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let (log, clock) = (Arc::clone(&told), ManualClock::default());
    let circuits = touchy(&clock, 1)
        .observer(move |event: &Event<'_>| {
            if let Happening::Transition(transition) = event.happening
                && transition.reason == Reason::Forgotten
            {
                assert!(event.key.is_some());
                log.lock().unwrap().push(transition.to_string());
            }
        })
        .build()
        .unwrap();
    for key in 0..6 {
        call(&circuits, key, Outcome::Failure);
    }
    assert!(circuits.force_open(&6_u32) && circuits.disable(&7_u32));
    assert!(call(&circuits, 99, Outcome::Failure));
    assert_eq!(circuits.state(&99_u32), None, "all of them refuse calls");

    // One has a probe out, one was probed in vain, and of one the probe was lost.
    clock.advance(5 * SECOND);
    let _probe = circuits.try_acquire_owned(&0_u32).unwrap();
    call(&circuits, 1, Outcome::Failure);
    call(&circuits, 2, Outcome::Ignored);
    for key in 100..104 {
        call(&circuits, key, Outcome::Failure);
        assert_eq!(circuits.state(&key), Some(State::Open), "{key}");
    }
    assert!(call(&circuits, 104, Outcome::Failure));
    assert_eq!(circuits.state(&104_u32), None, "again all of them do");

    let state = |key: u32| circuits.state(&key);
    assert_eq!([0, 1].map(state), [State::HalfOpen, State::Open].map(Some));
    assert_eq!(
        [6, 7].map(state),
        [State::ForcedOpen, State::Disabled].map(Some)
    );
    assert!([2, 3, 4, 5].map(state).iter().all(Option::is_none));
    let mut told = told.lock().unwrap();
    told.sort();
    let [half_open, open @ ..] = &told[..] else {
        panic!("nothing was told");
    };
    assert_eq!(half_open, "half_open => closed: forgotten");
    assert_eq!(open, ["open => closed: forgotten"; 3]);
}

/// What was let go for a key that has lost its place says nothing about the one that has it now.
#[test]
fn a_permit_of_a_forgotten_key_changes_nothing() {
    let circuits = touchy(&ManualClock::default(), 1).build().unwrap();
    let old: Vec<_> = (0..8_u32)
        .map(|key| circuits.try_acquire_owned(&key).unwrap())
        .collect();
    for key in 100..200 {
        call(&circuits, key, Outcome::Success);
    }
    assert!((0..8_u32).all(|key| circuits.state(&key).is_none()));
    for permit in old {
        permit.record(Outcome::Failure);
    }
    for key in 100..200_u32 {
        assert_ne!(circuits.state(&key), Some(State::Open));
    }
}

/// Nor does it say for how long the new one stays open.
#[test]
fn a_word_to_a_forgotten_key_is_not_heard() {
    let circuits = touchy(&ManualClock::default(), 1)
        .on_throttled(OnThrottled::Fail)
        .build()
        .unwrap();
    let old: Vec<_> = (0..8_u32)
        .map(|key| circuits.try_acquire_owned(&key).unwrap())
        .collect();
    for key in 100..200 {
        call(&circuits, key, Outcome::Success);
    }
    let retry_after = Some(60 * SECOND);
    for permit in old {
        permit.record(Outcome::Throttled { retry_after });
    }
    let present = (100..200_u32).filter(|key| circuits.state(key).is_some());
    let waits: Vec<_> = present
        .map(|key| {
            call(&circuits, key, Outcome::Failure);
            circuits.try_acquire(&key).unwrap_err().retry_after()
        })
        .collect();
    assert_eq!(waits, [Some(5 * SECOND); 8]);
}

proptest! {
    /// Against a map that forgets nothing: within the bound nobody sees a difference, but for what was
    /// forgotten while closed.
    #[test]
    fn an_open_circuit_refuses_and_a_closed_one_does_not(calls in prop::collection::vec((0_u32..40, any::<bool>()), 0..200)) {
        let circuits = touchy(&ManualClock::default(), 64).build().unwrap();
        let mut open = std::collections::HashSet::new();
        for (key, fails) in calls {
            let outcome = if fails { Outcome::Failure } else { Outcome::Success };
            prop_assert_eq!(call(&circuits, key, outcome), !open.contains(&key));
            if fails {
                open.insert(key);
            }
        }
    }
}
