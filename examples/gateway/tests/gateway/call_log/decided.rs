//! What each layer decided.

use serde_json::json;

use super::logged::{GET, Logged, decisions};
use crate::raw::RawUpstream;

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
    let get = "GET /v1/models?api_key=s3cret HTTP/1.1\nHost: a\nConnection: close\nAuthorization: Bearer s3cret\n\n";
    let (mut client, mut server) = logged.ask(&upstream, get).await;
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
async fn a_circuit_that_refuses_stands_in_the_record() {
    let upstream = RawUpstream::bind().await;
    let logged = Logged::before("breaker", &upstream, "").await;
    let (mut client, mut server) = logged.ask(&upstream, GET).await;
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
    let method = "M".repeat(100_000);
    client
        .send(&format!(
            "{method} {path} HTTP/1.1\nHost: a\nConnection: close\n\n"
        ))
        .await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 502 Bad Gateway");
    client.rest().await;
    let [record] = &logged.records(1).await[..] else {
        panic!("one record");
    };
    assert_eq!(record["path"], path[..1_024]);
    assert_eq!(record["method"], method[..64]);
    assert_eq!(decisions(record).len(), 64);
}
