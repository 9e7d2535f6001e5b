use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use crate::{
    raw::{RawUpstream, within},
    running::Running,
};

const UPGRADE: &str = "GET /chat HTTP/1.1\nHost: asked.example\nConnection: keep-alive, Upgrade\n\
                       Upgrade: websocket\nSec-WebSocket-Key: x\n\n";

#[tokio::test]
async fn an_upgrade_becomes_a_tunnel() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let mut client = gateway.connect().await;
    client.send(UPGRADE).await;

    let mut server = upstream.accept().await;
    let request = server.head().await;
    assert_eq!(request.first_line(), "GET /chat HTTP/1.1");
    assert_eq!(request.one("connection"), "upgrade");
    assert_eq!(request.one("upgrade"), "websocket");
    assert_eq!(request.one("sec-websocket-key"), "x");
    assert_eq!(request.one("host"), upstream.address().to_string());
    assert_eq!(request.one("x-forwarded-for"), "127.0.0.1");

    // The server's first bytes may come in the same packet as its answer.
    server
        .send("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\nX-Stays: 1\n\nhello")
        .await;
    let answer = client.head().await;
    assert_eq!(answer.first_line(), "HTTP/1.1 101 Switching Protocols");
    assert_eq!(answer.one("connection"), "upgrade");
    assert_eq!(answer.one("upgrade"), "websocket");
    assert_eq!(answer.one("x-stays"), "1");
    client.expect("hello").await;
    client.send("hi\n").await;
    server.expect("hi\n").await;
}

/// A gateway that speaks HTTP/2 to `upstream`, whose circuit opens at the first failure.
async fn in_http2(upstream: std::net::SocketAddr) -> Running {
    let sensitive = "retry.attempts = 1\ncircuit_breaker.minimum_calls = 1";
    Running::from(&format!(
        "{sensitive}\n[[upstreams]]\nurl = 'http://{upstream}'\nhttp2 = true\n"
    ))
    .await
}

#[tokio::test]
async fn a_tunnel_to_an_upstream_of_http2_is_of_http1() {
    let upstream = RawUpstream::bind().await;
    let gateway = in_http2(upstream.address()).await;
    let mut client = gateway.connect().await;
    client.send(UPGRADE).await;
    let mut server = upstream.accept().await;
    assert_eq!(server.head().await.first_line(), "GET /chat HTTP/1.1");
    server
        .send("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\n")
        .await;
    let answer = client.head().await;
    assert_eq!(answer.first_line(), "HTTP/1.1 101 Switching Protocols");
    client.send("ping").await;
    server.expect("ping").await;
    server.send("pong").await;
    client.expect("pong").await;
}

#[tokio::test]
async fn who_asks_for_tunnels_of_http2_alone_opens_no_circuit() {
    let upstream = RawUpstream::bind().await;
    let gateway = in_http2(upstream.address()).await;
    for request in [
        UPGRADE,
        "CONNECT target.example:443 HTTP/1.1\nHost: target.example:443\n\n",
    ] {
        let (mut client, mut server) = gateway.ask(&upstream, request).await;
        // An empty SETTINGS frame, in which nobody reads a status line, and the end.
        server.send("\0\0\0\x04\0\0\0\0\0").await;
        drop(server);
        assert_eq!(
            client.head().await.first_line(),
            "HTTP/1.1 501 Not Implemented"
        );
    }
    let state = gateway.state().await;
    let breaker = &state["upstreams"][0]["breaker"];
    assert_eq!(breaker["state"], "closed");
    assert_eq!(breaker["calls"], 0, "nor does it speak for the upstream");
}

/// The client need not look for the end to hear of it.
#[tokio::test]
async fn a_tunnel_whose_upstream_is_gone_takes_nothing_any_more() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let (mut client, mut server) = gateway.ask(&upstream, UPGRADE).await;
    server
        .send("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\n")
        .await;
    client.head().await;
    drop(server);
    client.expect_end().await;
    let pouring = time::timeout(Duration::from_secs(15), client.pour()).await;
    assert!(pouring.is_ok(), "it is waited for");
}

#[tokio::test]
async fn an_upgrade_may_be_declined() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let (mut client, mut server) = gateway.ask(&upstream, UPGRADE).await;
    server
        .send("HTTP/1.1 426 Upgrade Required\nContent-Length: 2\n\nno")
        .await;
    assert_eq!(
        client.head().await.first_line(),
        "HTTP/1.1 426 Upgrade Required"
    );
    client.expect("no").await;
}

#[tokio::test]
async fn a_connect_asks_the_upstream_and_nobody_else() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let mut client = gateway.connect().await;
    client
        .send("CONNECT target.example:443 HTTP/1.1\nHost: target.example:443\n\n")
        .await;

    let mut server = upstream.accept().await;
    let request = server.head().await;
    assert_eq!(request.first_line(), "CONNECT target.example:443 HTTP/1.1");
    assert_eq!(request.one("host"), "target.example:443");
    assert!(request.all("transfer-encoding").is_empty());
    server
        .send("HTTP/1.1 200 Connection established\nContent-Length: 2\n\n")
        .await;
    let answer = client.head().await;
    assert!(answer.first_line().starts_with("HTTP/1.1 200 "));
    assert!(answer.all("transfer-encoding").is_empty() && answer.all("content-length").is_empty());

    client.send("ping").await;
    server.expect("ping").await;
    server.send("pong").await;
    client.expect("pong").await;
    // The end of one side is told to the other.
    drop(client);
    server.expect_end().await;
}

#[tokio::test]
async fn a_connect_may_be_declined() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let (mut client, mut server) = gateway
        .ask(
            &upstream,
            "CONNECT target.example:443 HTTP/1.1\nHost: target.example:443\n\n",
        )
        .await;
    server
        .send("HTTP/1.1 405 Method Not Allowed\nContent-Length: 2\n\nno")
        .await;
    assert_eq!(
        client.head().await.first_line(),
        "HTTP/1.1 405 Method Not Allowed"
    );
    client.expect("no").await;
}

#[tokio::test]
async fn a_connect_over_h2c_is_a_stream() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::connect("target.example:443")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let answer = tokio::spawn(sender.send_request(request));

    let mut server = upstream.accept().await;
    assert_eq!(
        server.head().await.first_line(),
        "CONNECT target.example:443 HTTP/1.1"
    );
    server.send("HTTP/1.1 200 OK\nContent-Length: 2\n\n").await;
    let answer = within(answer).await.unwrap().unwrap();
    let mut client = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    client.write_all(b"ping").await.unwrap();
    server.expect("ping").await;
    server.send("pong").await;
    let mut came = [0; 4];
    within(client.read_exact(&mut came)).await.unwrap();
    assert_eq!(&came, b"pong");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_takes_its_request_along() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let (client, mut server) = gateway.ask(&upstream, UPGRADE).await;
    drop(client);
    server.expect_end().await;
}
