//! What goes through as it is.

use crate::{GET, Proxy};

/// The answer is stored under the host of the target: whoever leaves `Host` out must not be answered for another.
#[tokio::test]
async fn a_target_in_absolute_form_names_the_host() {
    for host in ["", "Host: other.example\n"] {
        let proxy = Proxy::start(&[]).await;
        let mut client = proxy.connect().await;
        client
            .send(&format!("GET http://asked.example:81/a HTTP/1.1\n{host}\n"))
            .await;
        let request = proxy.accept().await.head().await;
        assert_eq!(request.first_line(), "GET /a HTTP/1.1");
        assert_eq!(request.one("host"), "asked.example:81", "{host:?}");
    }
}

#[tokio::test]
async fn odd_methods_statuses_and_bytes_pass_and_fields_for_one_hop_do_not() {
    let proxy = Proxy::start(&[]).await;
    let mut client = proxy.connect().await;
    client
        .send_bytes(
            b"FROBNICATE /a HTTP/1.1\r\nHost: a\r\nX-Odd: caf\xe9\r\nConnection: x-mine\r\nX-Mine: 1\r\n\
              Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
        )
        .await;
    let mut server = proxy.accept().await;
    let request = server.head().await;
    assert_eq!(request.first_line(), "FROBNICATE /a HTTP/1.1");
    assert_eq!(
        (request.get("x-odd"), request.get("x-mine")),
        (Some("caf\u{e9}"), None)
    );
    server.expect("3\none\n0\n\n").await;
    server
        .send_bytes(
            b"HTTP/1.1 599 Odd\r\nX-Odd: \xff\r\nKeep-Alive: timeout=9\r\nContent-Length: 2\r\n\r\nno",
        )
        .await;
    let answer = client.head().await;
    assert!(answer.first_line().starts_with("HTTP/1.1 599"));
    assert_eq!(
        (answer.get("x-odd"), answer.get("keep-alive")),
        (Some("\u{ff}"), None)
    );
    client.expect("no").await;
}

#[tokio::test]
async fn a_broken_upstream_is_a_bad_gateway_and_is_asked_once() {
    let proxy = Proxy::start(&[]).await;
    let (mut client, server) = proxy.ask(GET).await;
    drop(server);
    let answer = client.head().await;
    assert_eq!(answer.first_line(), "HTTP/1.1 502 Bad Gateway");
    assert!(proxy.upstream_is_left_alone().await);
}

#[tokio::test]
async fn a_stream_of_events_is_not_held_back() {
    let proxy = Proxy::start(&[]).await;
    let (mut client, mut server) = proxy.ask("GET /events HTTP/1.1\nHost: a\n\n").await;
    server
        .send("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n")
        .await;
    client.head().await;
    for _ in 0..3 {
        server.send("7\ndata: 1\n").await;
        client.expect("7\ndata: 1\n").await;
    }
}

/// The one who asks for the body is this proxy's server.
#[tokio::test]
async fn a_body_that_waits_to_be_asked_for_is_asked_for_once() {
    let proxy = Proxy::start(&[]).await;
    let (mut client, mut server) = proxy
        .ask("PUT /a HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 4\n\n")
        .await;
    server.send("HTTP/1.1 100 Continue\n\n").await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 100 Continue");
    client.send("body").await;
    server.expect("body").await;
    server.send("HTTP/1.1 204 No Content\n\n").await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 204 No Content");
}
