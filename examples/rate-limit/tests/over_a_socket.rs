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
        let mut socket = TcpStream::connect(&self.address).unwrap();
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n"
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
    assert!(nobody.body().contains("bearer token"), "{}", nobody.body());
}
