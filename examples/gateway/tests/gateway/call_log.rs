//! The record of calls: each once, however it ended.

use std::{fs, path::PathBuf, time::Duration};

use gateway::config::parse;
use serde_json::{Value, json};

use crate::{
    raw::{Raw, RawUpstream, within},
    running::Running,
};

const GET: &str = "GET / HTTP/1.1\nHost: a\nConnection: close\n\n";

/// A gateway before `upstream` that writes down its calls.
pub(crate) struct Logged {
    pub(crate) gateway: Running,
    file: PathBuf,
}

impl Logged {
    pub(crate) async fn before(test: &str, upstream: &RawUpstream, more: &str) -> Self {
        let (file, text) = configured(test, upstream, more);
        Self {
            gateway: Running::from(&text).await,
            file,
        }
    }

    /// With none of the layers that a gateway without a file has, but retries.
    async fn bare(test: &str, upstream: &RawUpstream, more: &str) -> Self {
        let (file, text) = configured(test, upstream, more);
        let text = format!("listen = '127.0.0.1:0'\n{text}");
        Self {
            gateway: Running::of(&parse(&text, "test".as_ref()).unwrap()).await,
            file,
        }
    }

    pub(crate) async fn connect(&self) -> Raw {
        self.gateway.connect().await
    }

    /// Waits until there are so many lines, and sees that there are no more.
    pub(crate) async fn records(&self, count: usize) -> Vec<Value> {
        let all_there = async {
            loop {
                let text = fs::read_to_string(&self.file).unwrap();
                if text.lines().count() >= count && text.ends_with('\n') {
                    return text;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let text = within(all_there).await;
        let records: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(records.len(), count, "{text}");
        records
    }
}

fn configured(test: &str, upstream: &RawUpstream, more: &str) -> (PathBuf, String) {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.ndjson"));
    let _ = fs::remove_file(&file);
    let once = if more.contains("retry.attempts") {
        ""
    } else {
        "retry.attempts = 1\n"
    };
    let text = format!(
        "{once}{more}\n[[upstreams]]\nname = 'main'\nurl = 'http://{}'\n[call_log]\npath = '{}'\n",
        upstream.address(),
        file.display()
    );
    (file, text)
}

/// The layers and their verdicts.
pub(crate) fn decisions(record: &Value) -> Vec<String> {
    let decisions = record["decisions"].as_array().unwrap().iter();
    decisions
        .map(|decision| {
            let text = |name: &str| decision[name].as_str().unwrap();
            format!("{} {}", text("layer"), text("verdict"))
        })
        .collect()
}

#[tokio::test]
async fn an_answered_call_tells_who_decided_what() {
    let upstream = RawUpstream::bind().await;
    let logged = Logged::before(
        "answered",
        &upstream,
        "limits.per_key = { quota = '9/h', tiers.gold = { quota = '5/h', keys = ['s3cret'] } }\n\
         limits.routes = [{ path = '/elsewhere', quota = '1/h' }]",
    )
    .await;
    let mut client = logged.connect().await;
    client
        .send("GET /v1/models?api_key=s3cret HTTP/1.1\nHost: a\nConnection: close\nAuthorization: Bearer s3cret\n\n")
        .await;
    let mut server = upstream.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello")
        .await;
    client.head().await;
    client.expect("hello").await;

    let [record] = &logged.records(1).await[..] else {
        panic!("one record");
    };
    assert_eq!(record["method"], "GET");
    assert_eq!(record["path"], "/v1/models");
    assert_eq!(record["client"], "127.0.0.1");
    assert_eq!(
        (&record["status"], &record["bytes"]),
        (&json!(200), &json!(5))
    );
    assert_eq!(record["end"], "complete");
    assert!(record["took_ms"].as_f64().unwrap() > 0.0);
    let time = record["time"].as_str().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    assert_eq!(
        decisions(record),
        [
            "per_ip admitted",
            "keys admitted",
            "per_key admitted",
            "upstream answered"
        ]
    );
    let [_, keys, per_key, answered] = &record["decisions"].as_array().unwrap()[..] else {
        panic!("four of them");
    };
    assert_eq!(keys["tier"], "gold");
    assert_eq!(per_key["remaining"], 4);
    assert_eq!(
        (
            &answered["upstream"],
            &answered["status"],
            &answered["attempt"]
        ),
        (&json!("main"), &json!(200), &json!(1))
    );
    assert!(!record.to_string().contains("s3cret"), "{record}");
}

/// Whichever of them comes first.
#[tokio::test]
async fn the_outermost_tells_what_it_decided() {
    let upstream = RawUpstream::bind().await;
    let keys = "limits.per_key = { quota = '1/h', unknown = 'refuse', missing = 'refuse' }";
    for (test, layers, expected) in [
        ("keys_first", keys, "keys refused"),
        (
            "cache_first",
            "cache.routes = [{ path = '/' }]",
            "cache uri-miss",
        ),
        ("nothing_first", "", "upstream broke_off"),
    ] {
        let logged = Logged::bare(test, &upstream, layers).await;
        let mut client = logged.connect().await;
        client.send(GET).await;
        if expected != "keys refused" {
            upstream.accept().await.head().await;
        }
        client.head().await;
        client.rest().await;
        let record = &logged.records(1).await[0];
        assert_eq!(decisions(record)[0], expected);
    }
}

#[tokio::test]
async fn a_refused_call_is_written_down() {
    let upstream = RawUpstream::bind().await;
    let logged = Logged::before(
        "refused",
        &upstream,
        "limits.per_ip.quota = '1/h'\nlimits.deny = ['192.0.2.1']\n\
         client_ip = { source = 'x-forwarded-for', hops = 1 }",
    )
    .await;
    let get =
        |ip: &str| format!("GET / HTTP/1.1\nHost: a\nConnection: close\nX-Forwarded-For: {ip}\n\n");
    let mut client = logged.connect().await;
    client.send(&get("192.0.2.2")).await;
    drop(upstream.accept().await);
    client.head().await;
    client.rest().await;
    for ip in ["192.0.2.1", "192.0.2.2"] {
        let mut client = logged.connect().await;
        client.send(&get(ip)).await;
        client.head().await;
        client.rest().await;
    }
    let records = logged.records(3).await;
    let told: Vec<_> = records
        .iter()
        .map(|record| (record["status"].as_u64().unwrap(), decisions(record)))
        .collect();
    let strings = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        told,
        [
            (
                502,
                strings(&["per_ip admitted", "upstream broke_off", "retry attempts"])
            ),
            (403, strings(&["access denied"])),
            (429, strings(&["per_ip refused"])),
        ]
    );
    assert_eq!(records[1]["client"], "192.0.2.1");
    let wait = records[2]["decisions"][0]["retry_after_ms"]
        .as_f64()
        .unwrap();
    assert!((3_500_000.0..=3_600_000.0).contains(&wait), "{wait}");
    assert!(records.iter().all(|record| record["end"] == "complete"));
}

#[tokio::test]
async fn a_client_that_leaves_is_written_down() {
    let upstream = RawUpstream::bind().await;
    let logged = Logged::before("left", &upstream, "").await;
    // Before the answer.
    let mut client = logged.connect().await;
    client.send(GET).await;
    let mut server = upstream.accept().await;
    server.head().await;
    drop(client);
    let records = logged.records(1).await;
    assert_eq!(
        (&records[0]["status"], &records[0]["end"]),
        (&Value::Null, &json!("cancelled"))
    );
    assert_eq!(
        decisions(&records[0]),
        ["per_ip admitted", "upstream cancelled"]
    );

    // In the middle of it.
    let mut client = logged.connect().await;
    client.send(GET).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 200 OK\nContent-Length: 9\n\nhi")
        .await;
    client.head().await;
    client.expect("hi").await;
    drop(client);
    let records = logged.records(2).await;
    let record = &records[1];
    assert_eq!(
        (&record["status"], &record["bytes"]),
        (&json!(200), &json!(2))
    );
    assert_eq!(record["end"], "client_left");

    // And an upstream that breaks off there.
    let mut client = logged.connect().await;
    client.send(GET).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 200 OK\nContent-Length: 9\n\nhi")
        .await;
    client.head().await;
    client.expect("hi").await;
    drop(server);
    client.expect_end().await;
    let records = logged.records(3).await;
    assert_eq!(records[2]["end"], "upstream_broke_off");
}

#[tokio::test]
async fn a_tunnel_is_written_down_when_it_ends() {
    let upstream = RawUpstream::bind().await;
    let logged = Logged::before("tunnel", &upstream, "").await;
    let mut client = logged.connect().await;
    client.send("CONNECT a:1 HTTP/1.1\nHost: a:1\n\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\n\n").await;
    client.head().await;
    server.send("pong").await;
    client.expect("pong").await;
    assert_eq!(logged.gateway.state().await["in_flight"], 1);
    assert_eq!(
        fs::read_to_string(&logged.file).unwrap(),
        "",
        "it is not over"
    );
    drop(client);
    server.expect_end().await;
    drop(server);
    let records = logged.records(1).await;
    let record = &records[0];
    assert_eq!(
        (&record["method"], &record["status"]),
        (&json!("CONNECT"), &json!(200))
    );
    assert_eq!(
        (&record["end"], &record["bytes"]),
        (&json!("tunnel"), &json!(4))
    );
    assert_eq!(decisions(record), ["per_ip admitted", "upstream answered"]);
}

#[tokio::test]
async fn a_circuit_that_refuses_stands_in_the_record() {
    let upstream = RawUpstream::bind().await;
    let logged = Logged::before("breaker", &upstream, "").await;
    let mut client = logged.connect().await;
    client.send(GET).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 429 Too Many Requests\nRetry-After: 60\nContent-Length: 0\n\n")
        .await;
    client.head().await;
    let mut client = logged.connect().await;
    client.send(GET).await;
    client.head().await;
    client.rest().await;
    let records = logged.records(2).await;
    assert_eq!(
        decisions(&records[1]),
        [
            "per_ip admitted",
            "breaker parked",
            "upstreams exhausted",
            "retry attempts"
        ]
    );
    assert_eq!(records[1]["decisions"][1]["upstream"], "main");
    assert_eq!(records[1]["status"], 503);
}

#[tokio::test]
async fn nothing_is_lost_where_files_are_set_aside() {
    let upstream = RawUpstream::bind().await;
    let logged = Logged::before("rotated", &upstream, "limits.per_ip.quota = '1/h'").await;
    let file = logged.file.clone();
    drop(logged);
    for number in 1..4 {
        let _ = fs::remove_file(format!("{}.{number}", file.display()));
    }
    let _ = fs::remove_file(&file);
    let gateway = Running::from(&format!(
        "limits = {{ per_ip = {{}}, deny = ['127.0.0.1'] }}\n\
         call_log = {{ path = '{}', max_bytes = 10_000, files = 4 }}",
        file.display()
    ))
    .await;
    let calls = 100;
    let mut client = gateway.connect().await;
    for number in 0..calls {
        client
            .send(&format!("HEAD /{number} HTTP/1.1\nHost: a\n\n"))
            .await;
        client.head().await;
    }
    let read = || -> Vec<String> {
        let aside = (1..4)
            .rev()
            .map(|number| format!("{}.{number}", file.display()));
        aside
            .chain([file.display().to_string()])
            .filter_map(|name| fs::read_to_string(name).ok())
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    };
    within(async {
        while read().len() < calls {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert!(fs::exists(format!("{}.1", file.display())).unwrap());
    for (number, line) in read().iter().enumerate() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["path"], format!("/{number}"));
    }
    let state = gateway.state().await;
    assert_eq!(state["call_log"]["written"], calls);
    assert_eq!(state["call_log"]["dropped"], 0);
}

#[tokio::test]
async fn a_record_is_bounded_whatever_is_asked() {
    let upstream = RawUpstream::bind().await;
    let logged = Logged::before(
        "bounded",
        &upstream,
        "retry.attempts = 100\nretry.max_backoff = '1ms'\nretry.backoff = '1ms'\nretry.budget_per_second = 1_000\n\
         circuit_breaker.minimum_calls = 1_000",
    )
    .await;
    // Nobody listens there any more.
    drop(upstream);
    let mut client = logged.connect().await;
    let path = format!("/{}", "%C3%A9".repeat(1_000));
    client
        .send(&format!(
            "GET {path} HTTP/1.1\nHost: a\nConnection: close\n\n"
        ))
        .await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 502 Bad Gateway");
    client.rest().await;
    let [record] = &logged.records(1).await[..] else {
        panic!("one record");
    };
    assert_eq!(record["path"], path[..1_024]);
    assert_eq!(decisions(record).len(), 64);
}
