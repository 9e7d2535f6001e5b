//! The program, as its users meet it: started, and asked over a socket.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

/// The running example; ends with the test.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_rate-limit"))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("listening on http://")
            .unwrap()
            .to_owned();
        Self { process, address }
    }

    fn get(&self, path: &str, headers: &str) -> Answer {
        self.send(&format!("GET {path}"), headers, "")
    }

    fn log_in(&self, credentials: &str) -> Answer {
        let length = format!("content-length: {}\r\n", credentials.len());
        self.send("POST /login", &length, credentials)
    }

    fn send(&self, what: &str, headers: &str, body: &str) -> Answer {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        write!(
            socket,
            "{what} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n{body}"
        )
        .unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        Answer(text)
    }
}

impl Drop for Server {
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

    fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap();
        head.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").unwrap().1
    }
}

#[test]
fn an_address_gets_its_burst_and_then_429() {
    let server = Server::start();
    for _ in 0..10 {
        assert_eq!(server.get("/", "").status(), 200);
    }
    // Five come back each second: whoever asks faster is refused sooner or later.
    let refused = (0..10_000)
        .map(|_| server.get("/", ""))
        .find(|answer| answer.status() == 429)
        .unwrap();
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some(r#""per-ip";q=10;w=2"#)
    );
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    let problem: serde_json::Value = serde_json::from_str(refused.body()).unwrap();
    assert_eq!(problem["violated-policies"], serde_json::json!(["per-ip"]));
}

#[test]
fn a_dear_route_is_limited_by_api_key() {
    let server = Server::start();
    let alice = "authorization: Bearer alice\r\n";
    for _ in 0..2 {
        let answer = server.get("/report", alice);
        assert_eq!((answer.status(), answer.body()), (200, "[3,1,4]"));
    }
    let refused = server.get("/report", alice);
    assert_eq!(refused.status(), 429);
    assert!(
        refused
            .body()
            .contains(r#""violated-policies":["per-key"]"#),
        "{}",
        refused.body()
    );
    assert_eq!(
        server
            .get("/report", "authorization: Bearer bob\r\n")
            .status(),
        200
    );

    let nobody = server.get("/report", "");
    assert_eq!(nobody.status(), 400);
    assert!(
        nobody.body().contains("authorization is missing"),
        "{}",
        nobody.body()
    );
}

#[test]
fn a_key_of_a_tier_has_the_quota_of_the_tier() {
    let server = Server::start();
    let gold = "authorization: bearer gold\r\n";
    for _ in 0..6 {
        assert_eq!(server.get("/report", gold).status(), 200);
    }
    let refused = server.get("/report", gold);
    assert_eq!(refused.status(), 429);
    assert!(
        refused
            .body()
            .contains(r#""violated-policies":["per-key"]"#),
        "{}",
        refused.body()
    );
}

#[test]
fn only_failed_logins_count_and_parallel_guesses_count_each() {
    let server = Server::start();
    for _ in 0..6 {
        assert_eq!(server.log_in("alice:wonderland").status(), 200);
    }
    // More than there are left for the address, too: whoever is let through by that has at most five.
    let mut looked_at = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..20)
            .map(|n| {
                let server = &server;
                scope.spawn(move || server.log_in(&format!("alice:{n}")).status())
            })
            .collect();
        let statuses = guesses.into_iter().map(|guess| guess.join().unwrap());
        statuses.filter(|status| *status == 401).count()
    });
    // The address gets five back each second.
    let refused = loop {
        let answer = server.log_in("alice:rabbit");
        match answer.status() {
            401 => looked_at += 1,
            429 if answer.body().contains("failed-logins") => break answer,
            status => assert_eq!(status, 429),
        }
    };
    assert_eq!(looked_at, 5);
    let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((170..=180).contains(&wait), "{wait}");
}
