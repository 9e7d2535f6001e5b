//! The program, as its users meet it: started, and asked over a socket.

use buttress_by_hand::{Answer, Program};

fn start() -> Program {
    Program::start(env!("CARGO_BIN_EXE_rate-limit"), &["127.0.0.1:0"])
}

fn report(server: &Program, fields: &str) -> Answer {
    server.send("GET /report", fields, "")
}

fn log_in(server: &Program, credentials: &str) -> Answer {
    let length = format!("content-length: {}\r\n", credentials.len());
    server.send("POST /login", &length, credentials)
}

#[test]
fn an_address_gets_its_burst_and_then_429() {
    let server = start();
    for _ in 0..10 {
        assert_eq!(server.get("/").status(), 200);
    }
    // Five come back each second: whoever asks faster is refused sooner or later.
    let refused = (0..10_000)
        .map(|_| server.get("/"))
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
    let server = start();
    let alice = "authorization: Bearer alice\r\n";
    for _ in 0..2 {
        let answer = report(&server, alice);
        assert_eq!((answer.status(), answer.body()), (200, "[3,1,4]"));
    }
    let refused = report(&server, alice);
    assert_eq!(refused.status(), 429);
    assert!(
        refused
            .body()
            .contains(r#""violated-policies":["per-key"]"#),
        "{}",
        refused.body()
    );
    assert_eq!(
        report(&server, "authorization: Bearer bob\r\n").status(),
        200
    );

    let nobody = report(&server, "");
    assert_eq!(nobody.status(), 400);
    assert!(
        nobody.body().contains("authorization is missing"),
        "{}",
        nobody.body()
    );
}

#[test]
fn a_key_of_a_tier_has_the_quota_of_the_tier() {
    let server = start();
    let gold = "authorization: bearer gold\r\n";
    for _ in 0..6 {
        assert_eq!(report(&server, gold).status(), 200);
    }
    let refused = report(&server, gold);
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
    let server = start();
    for _ in 0..6 {
        assert_eq!(log_in(&server, "alice:wonderland").status(), 200);
    }
    // More than there are left for the address, too: whoever is let through by that has at most five.
    let mut looked_at = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..20)
            .map(|n| {
                let server = &server;
                scope.spawn(move || log_in(server, &format!("alice:{n}")).status())
            })
            .collect();
        let statuses = guesses.into_iter().map(|guess| guess.join().unwrap());
        statuses.filter(|status| *status == 401).count()
    });
    // The address gets five back each second.
    let refused = loop {
        let answer = log_in(&server, "alice:rabbit");
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
