//! How calls end that are not simply answered.

use std::fs;

use serde_json::{Value, json};

use super::logged::{GET, Logged, decisions};
use crate::raw::{Raw, RawUpstream};

/// Both ends of a call in the middle of its answer.
async fn half_answered(logged: &Logged, upstream: &RawUpstream) -> (Raw, Raw) {
    let (mut client, mut server) = logged.ask(upstream, GET).await;
    server
        .send("HTTP/1.1 200 OK\nContent-Length: 9\n\nhi")
        .await;
    client.head().await;
    client.expect("hi").await;
    (client, server)
}

#[tokio::test]
async fn a_client_that_leaves_is_written_down() {
    let upstream = RawUpstream::bind().await;
    let logged = Logged::before("left", &upstream, "").await;
    // Before the answer.
    let (client, _server) = logged.ask(&upstream, GET).await;
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
    let (client, _server) = half_answered(&logged, &upstream).await;
    drop(client);
    let records = logged.records(2).await;
    let record = &records[1];
    assert_eq!(
        (&record["status"], &record["bytes"]),
        (&json!(200), &json!(2))
    );
    assert_eq!(record["end"], "client_left");

    // And an upstream that breaks off there.
    let (mut client, server) = half_answered(&logged, &upstream).await;
    drop(server);
    client.expect_end().await;
    let records = logged.records(3).await;
    assert_eq!(records[2]["end"], "upstream_broke_off");
}

#[tokio::test]
async fn a_tunnel_is_written_down_when_it_ends() {
    let upstream = RawUpstream::bind().await;
    let logged = Logged::before("tunnel", &upstream, "").await;
    let connect = "CONNECT a:1 HTTP/1.1\nHost: a:1\n\n";
    let (mut client, mut server) = logged.ask(&upstream, connect).await;
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
