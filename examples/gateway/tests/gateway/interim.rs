//! What is said before an answer.

use crate::{
    raw::{Raw, RawUpstream},
    running::Running,
};

const HINTS: &str =
    "HTTP/1.1 103 Early Hints\nLink: </a.css>; rel=preload\nConnection: x-hop\nX-Hop: 1\n\n";
const OK: &str = "HTTP/1.1 200 OK\nX-Hop: 1\nContent-Length: 4\n\nbody";

async fn before(upstream: &RawUpstream, more: &str) -> Running {
    let address = upstream.address();
    Running::from(&format!("upstream = 'http://{address}'\n{more}")).await
}

async fn before_two(a: &RawUpstream, b: &RawUpstream) -> Running {
    let upstreams = [a, b].map(|it| format!("[[upstreams]]\nurl = 'http://{}'\n", it.address()));
    Running::from(&upstreams.concat()).await
}

/// RFC 9110 §15.2, as `examples/intermediary` does it.
#[tokio::test]
async fn interim_responses_are_handed_on() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "").await;
    let get = "GET / HTTP/1.1\nHost: a\n\n";
    let (mut client, mut server) = gateway.ask(&upstream, get).await;
    // The second over the connection that the first has made.
    for _ in 0..2 {
        server.send(HINTS).await;
        let hints = client.head().await;
        assert_eq!(hints.one("link"), "</a.css>; rel=preload");
        assert_eq!(hints.get("x-hop"), None);
        server.send(OK).await;
        assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
        client.expect("body").await;
        client.send(get).await;
        server.head().await;
    }
}

#[tokio::test]
async fn those_of_an_attempt_that_fails_are_handed_on_too() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = before_two(&a, &b).await;
    let (mut client, mut server) = gateway.ask(&a, "GET / HTTP/1.1\nHost: a\n\n").await;
    server
        .send(&format!(
            "{HINTS}HTTP/1.1 500 Internal Server Error\nContent-Length: 0\n\n"
        ))
        .await;
    let mut server = b.accept().await;
    server.head().await;
    server.send(OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 103 Early Hints");
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
}

/// The fetch is worked on elsewhere, and is the affair of who asked first.
#[tokio::test]
async fn they_come_through_a_cache() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "cache.routes = [{ path = '/' }]\n").await;
    let (mut client, mut server) = gateway.ask(&upstream, "GET / HTTP/1.1\nHost: a\n\n").await;
    server.send(HINTS).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 103 Early Hints");
    server.send(OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn who_asks_for_a_tunnel_is_sent_them_too() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "").await;
    let upgrade = "GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket\n\n";
    let (mut client, mut server) = gateway.ask(&upstream, upgrade).await;
    server.send(HINTS).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 103 Early Hints");
    server
        .send("HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: websocket\n\n")
        .await;
    let answer = client.head().await;
    assert_eq!(answer.first_line(), "HTTP/1.1 101 Switching Protocols");
    server.send("hello").await;
    client.expect("hello").await;
}

const EXPECT: &str = "PUT / HTTP/1.1\nHost: a\nContent-Length: 4\nExpect: 100-continue\n\n";

/// And answers when it has come.
async fn asks_for_the_body(server: &mut Raw, client: &mut Raw) {
    server.send("HTTP/1.1 100 Continue\n\n").await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 100 Continue");
    client.send("body").await;
    server.expect("body").await;
    server.send("HTTP/1.1 204 No Content\n\n").await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 204 No Content");
}

/// RFC 9110 §10.1.1: the word is the upstream's.
#[tokio::test]
async fn a_client_that_waits_for_100_is_told_what_the_upstream_says() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "").await;
    let mut client = gateway.connect().await;
    client.send(EXPECT).await;
    let mut server = upstream.accept().await;
    assert_eq!(server.head().await.one("expect"), "100-continue");
    server.send(HINTS).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 103 Early Hints");
    asks_for_the_body(&mut server, &mut client).await;
}

#[tokio::test]
async fn a_body_that_is_not_wanted_is_not_asked_for() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "").await;
    let (mut client, mut server) = gateway.ask(&upstream, EXPECT).await;
    server
        .send("HTTP/1.1 413 Content Too Large\nContent-Length: 4\n\nlar")
        .await;
    let head = client.head().await;
    assert!(head.first_line().starts_with("HTTP/1.1 413 "), "{head:?}");
    client.expect("lar").await;
    server.send("g").await;
    client.expect("g").await;
    // Where nobody knows whether a body follows after all, nothing else can.
    client.expect_end().await;
    server.expect_end().await;
}

#[tokio::test]
async fn a_body_that_was_not_sent_is_sent_elsewhere() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = before_two(&a, &b).await;
    let (mut client, mut server) = gateway.ask(&a, EXPECT).await;
    server
        .send("HTTP/1.1 500 Internal Server Error\nContent-Length: 0\n\n")
        .await;
    let mut server = b.accept().await;
    server.head().await;
    asks_for_the_body(&mut server, &mut client).await;
}

/// It need not know of it.
#[tokio::test]
async fn an_upstream_that_says_nothing_is_sent_the_body() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "").await;
    let (mut client, mut server) = gateway.ask(&upstream, EXPECT).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 100 Continue");
    client.send("body").await;
    server.expect("body").await;
}
