//! The programs, as their users meet them: started, killed, and asked over sockets.

#![expect(
    clippy::disallowed_methods,
    reason = "a test of whole programs waits for them under a deadline"
)]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A running program; ends with the test.
struct Program {
    process: Child,
    address: String,
}

impl Program {
    fn start(path: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(path)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap();
        Self {
            process,
            address: address.to_owned(),
        }
    }

    fn upstream(address: &str) -> Self {
        Self::start(env!("CARGO_BIN_EXE_upstream"), &[address])
    }

    fn get(&self, path: &str) -> Answer {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        Answer(text)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

struct Answer(String);

impl Answer {
    fn status(&self) -> u16 {
        self.0.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn retry_after(&self) -> Option<u64> {
        let head = self.0.split("\r\n\r\n").next().unwrap();
        head.lines()
            .find_map(|line| line.strip_prefix("retry-after: "))
            .map(|value| value.parse().unwrap())
    }

    fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").unwrap().1
    }
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
    let upstream = Program::upstream("127.0.0.1:0");
    let service = Program::start(
        env!("CARGO_BIN_EXE_circuit-breaker"),
        &["127.0.0.1:0", &upstream.address],
    );
    let answer = service.get("/");
    assert_eq!(
        (answer.status(), answer.body()),
        (200, "hello from the upstream\n")
    );
    assert!(service.get("/circuit").body().starts_with("closed"));

    // Down: a few failures, and then refusals, at once and for a time that falls.
    let address = upstream.address.clone();
    drop(upstream);
    until("it was never refused", || service.get("/").status() == 503);
    let mut told = Vec::new();
    until("Retry-After did not fall", || {
        let answer = service.get("/");
        if answer.status() == 503 {
            assert!(answer.body().contains("temporary-reduced-capacity"));
            told.extend(answer.retry_after());
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
    let _upstream = Program::upstream(&address);
    until("it never closed", || service.get("/").status() == 200);
    assert!(service.get("/circuit").body().starts_with("closed"));
    assert!((0..10).all(|_| service.get("/").status() == 200));
}
