//! How long a body is said to be.

use super::*;

/// hyper's client sends no body of unknown length with GET unless it is told to.
#[tokio::test]
async fn a_get_keeps_its_chunked_body() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let mut client = gateway.connect().await;
    client
        .send("GET / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n")
        .await;

    let mut server = upstream.accept().await;
    assert_eq!(server.head().await.one("transfer-encoding"), "chunked");
    server.expect("2\nhi\n0\n\n").await;
}

/// Two lengths in one request are how one request hides in another.
#[tokio::test]
async fn one_length_is_passed_on() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let mut client = gateway.connect().await;
    client
        .send("POST / HTTP/1.1\nHost: a\nContent-Length: 40\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n")
        .await;

    let mut server = upstream.accept().await;
    let request = server.head().await;
    assert!(request.all("content-length").is_empty());
    assert_eq!(request.one("transfer-encoding"), "chunked");
    server.expect("2\nhi\n0\n\n").await;
}

/// RFC 9112 §6.3: the length is not true, and by it the client would take a part for the whole.
#[tokio::test]
async fn an_answer_has_one_length_too() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    for lines in [
        "Content-Length: 1\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\nContent-Length: 100",
    ] {
        let (mut client, mut server) = gateway
            .ask(&upstream, "GET / HTTP/1.1\nHost: a\nConnection: close\n\n")
            .await;
        server
            .send(&format!("HTTP/1.1 200 OK\n{lines}\n\n2\nhi\n0\n\n"))
            .await;
        let head = client.head().await;
        assert!(head.all("content-length").is_empty(), "{head:?}");
        assert_eq!(head.one("transfer-encoding"), "chunked");
        client.expect("2\nhi\n0\n\n").await;
    }
}

/// RFC 9112 §6.3: said twice it is one length, and not everybody reads it so.
#[tokio::test]
async fn an_answer_says_its_length_once() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    for lines in [
        "Content-Length: 2, 2",
        "Content-Length: 2\nContent-Length: 2",
    ] {
        let (mut client, mut server) = gateway
            .ask(&upstream, "GET / HTTP/1.1\nHost: a\nConnection: close\n\n")
            .await;
        server
            .send(&format!(
                "HTTP/1.1 200 OK\n{lines}\nConnection: close\n\nhi"
            ))
            .await;
        assert_eq!(client.head().await.one("content-length"), "2", "{lines}");
        client.expect("hi").await;
    }
}
