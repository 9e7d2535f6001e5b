use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{
    raw::{Raw, RawUpstream, within},
    running::Running,
};

#[tokio::test]
async fn no_upstream_is_502() {
    let gateway = Running::before(RawUpstream::bind().await.address()).await;
    for request in [
        "GET / HTTP/1.1\nHost: a\nConnection: close\n\n",
        "GET / HTTP/1.1\nHost: a\nConnection: upgrade, close\nUpgrade: websocket\n\n",
    ] {
        let mut client = gateway.connect().await;
        client.send(request).await;
        expect_problem(
            &mut client,
            "502 Bad Gateway",
            "the upstream cannot be reached",
        )
        .await;
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_off_is_502() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let (mut client, server) = gateway
        .ask(&upstream, "GET / HTTP/1.1\nHost: a\nConnection: close\n\n")
        .await;
    drop(server);
    let detail = "the upstream broke off before it answered";
    expect_problem(&mut client, "502 Bad Gateway", detail).await;
}

/// It closes its socket over what it has not read, which resets it.
#[tokio::test]
async fn an_upstream_that_answers_in_mid_body_and_leaves_is_heard() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::from(&format!(
        "upstream = 'http://{}'\n[retry]\nattempts = 1\n[circuit_breaker]\nminimum_calls = 1\n",
        upstream.address()
    ))
    .await;
    for kind in ["Content-Length: 1000000000", "Transfer-Encoding: chunked"] {
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        let (answer, mut upload) = stream.into_split();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{kind}\r\n\r\n");
        upload.write_all(head.as_bytes()).await.unwrap();
        let upload = tokio::spawn(async move {
            // Of the many chunks' length, too.
            let body = [b"4000\r\n", &[b'x'; 0x4000][..], b"\r\n"].concat();
            while upload.write_all(&body).await.is_ok() {}
        });
        let mut server = upstream.accept().await;
        server.head().await;
        server
            .send("HTTP/1.1 413 Content Too Large\nContent-Length: 3\n\nbig")
            .await;
        drop(server);
        let mut lines = BufReader::new(answer).lines();
        let line = within(lines.next_line()).await.unwrap();
        assert_eq!(line.as_deref(), Some("HTTP/1.1 413 Content Too Large"));
        upload.abort();
    }
    let breaker = &gateway.state().await["upstreams"][0]["breaker"];
    assert_eq!(
        (&breaker["failures"], &breaker["state"]),
        (&json!(0), &json!("closed"))
    );
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_is_502() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    for request in [
        "GET / HTTP/1.1\nHost: a\nConnection: close\n\n",
        "CONNECT a:1 HTTP/1.1\nHost: a:1\nConnection: close\n\n",
    ] {
        let (mut client, mut server) = gateway.ask(&upstream, request).await;
        server
            .send("HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: h2c\n\n")
            .await;
        let detail = "the upstream switched protocols unasked";
        expect_problem(&mut client, "502 Bad Gateway", detail).await;
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_504() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::with(upstream.address(), |config| {
        config.timeouts.response = Duration::from_millis(50);
    })
    .await;
    for request in [
        "POST / HTTP/1.1\nHost: a\nConnection: close\nContent-Length: 2\n\nhi",
        "GET / HTTP/1.1\nHost: a\nConnection: upgrade, close\nUpgrade: websocket\n\n",
        "CONNECT a:1 HTTP/1.1\nHost: a:1\nConnection: close\n\n",
    ] {
        let (mut client, server) = gateway.ask(&upstream, request).await;
        let detail = "the upstream took too long to answer";
        expect_problem(&mut client, "504 Gateway Timeout", detail).await;
        drop(server);
    }
}

#[tokio::test]
async fn a_body_that_is_broken_off_breaks_off_the_upload() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let (mut client, mut server) = gateway
        .ask(
            &upstream,
            "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\nhi\n",
        )
        .await;
    server.expect("2\nhi\n").await;
    client.send("rubbish\n").await;
    // No last chunk: the upstream must not take it for the whole.
    server.expect_end().await;
}

async fn expect_problem(client: &mut Raw, status: &str, detail: &str) {
    let answer = client.head().await;
    assert_eq!(answer.first_line(), format!("HTTP/1.1 {status}"));
    assert_eq!(answer.one("content-type"), "application/problem+json");
    assert_eq!(answer.one("cache-control"), "no-store");
    let problem: Value = serde_json::from_str(&client.rest().await).unwrap();
    let number: u16 = status[..3].parse().unwrap();
    assert_eq!(
        (&problem["status"], &problem["detail"]),
        (&json!(number), &json!(detail))
    );
}
