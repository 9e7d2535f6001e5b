//! The programs, as their users meet them: started, killed, and asked over sockets.

#![expect(
    clippy::disallowed_methods,
    reason = "a test of whole programs waits for them under a deadline"
)]

use std::{
    thread,
    time::{Duration, Instant},
};

use buttress_by_hand::{Answer, Program};

fn upstream(address: &str) -> Program {
    Program::start(env!("CARGO_BIN_EXE_upstream"), &[address])
}

fn retry_after(answer: &Answer) -> Option<u64> {
    answer
        .header("retry-after")
        .map(|value| value.parse().unwrap())
}

/// Asks until `holds`, for half a minute at most.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_upstream_that_is_killed_and_comes_back() {
    let flaky = upstream("127.0.0.1:0");
    let address = flaky.address().to_string();
    let service = Program::start(
        env!("CARGO_BIN_EXE_circuit-breaker"),
        &["127.0.0.1:0", &address],
    );
    let answer = service.get("/");
    assert_eq!(
        (answer.status(), answer.body()),
        (200, "hello from the upstream\n")
    );
    assert!(service.get("/circuit").body().starts_with("closed"));

    // Down: a few failures, and then refusals, at once and for a time that falls.
    drop(flaky);
    until("it was never refused", || service.get("/").status() == 503);
    let mut told = Vec::new();
    until("Retry-After did not fall", || {
        let answer = service.get("/");
        if answer.status() == 503 {
            assert!(answer.body().contains("temporary-reduced-capacity"));
            told.extend(retry_after(&answer));
        }
        // A probe that failed may have opened it anew meanwhile.
        told.windows(2).any(|two| two[1] < two[0])
    });
    assert!(
        told.iter().all(|seconds| (1..=3).contains(seconds)),
        "{told:?}"
    );
    assert!(!service.get("/circuit").body().starts_with("closed"));

    // Up again: the circuit closes by itself, and stays closed.
    let _upstream = upstream(&address);
    until("it never closed", || service.get("/").status() == 200);
    assert!(service.get("/circuit").body().starts_with("closed"));
    assert!((0..10).all(|_| service.get("/").status() == 200));
}
