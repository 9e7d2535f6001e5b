//! What is answered from memory, and what is not.

use crate::{GET, Proxy};

#[tokio::test]
async fn the_second_request_is_answered_from_memory() {
    let proxy = Proxy::start(&[]).await;
    let mut client = proxy.connect().await;
    client
        .send("GET /a?b=%2F HTTP/1.1\nHost: asked.example\n\n")
        .await;
    let mut server = proxy.accept().await;
    let request = server.head().await;
    assert_eq!(request.first_line(), "GET /a?b=%2F HTTP/1.1");
    assert_eq!(request.one("host"), "asked.example");
    assert_eq!(request.one("via"), "1.1 cache-proxy");
    server
        .send("HTTP/1.1 200 OK\nCache-Control: max-age=600\nContent-Length: 4\n\nbody")
        .await;
    let first = client.head().await;
    assert_eq!(
        first.one("cache-status"),
        "cache-proxy;fwd=uri-miss;fwd-status=200;stored"
    );
    client.expect("body").await;

    client
        .send("GET /a?b=%2F HTTP/1.1\nHost: asked.example\n\n")
        .await;
    let second = client.head().await;
    assert!(second.one("cache-status").starts_with("cache-proxy;hit"));
    assert!(second.get("age").is_some());
    client.expect("body").await;
    assert!(proxy.upstream_is_left_alone().await);
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_and_is_not_stored() {
    let proxy = Proxy::start(&[]).await;
    let (mut client, mut server) = proxy.ask(GET).await;
    server
        .send("HTTP/1.1 200 OK\nCache-Control: max-age=600\nContent-Length: 8\n\nhalf")
        .await;
    client.head().await;
    // Before it is known how it ends.
    client.expect("half").await;
    drop(server);
    client.expect_end().await;

    let mut client = proxy.connect().await;
    client.send(GET).await;
    proxy.accept().await.head().await;
}

#[tokio::test]
async fn without_a_lifetime_everything_goes_to_the_upstream() {
    let proxy = Proxy::start(&[]).await;
    let mut client = proxy.connect().await;
    let mut server = None;
    for _ in 0..2 {
        client.send(GET).await;
        let server = match &mut server {
            Some(server) => server,
            none => none.insert(proxy.accept().await),
        };
        server.head().await;
        server
            .send("HTTP/1.1 200 OK\nContent-Length: 4\n\nbody")
            .await;
        client.head().await;
        client.expect("body").await;
    }
}

#[tokio::test]
async fn a_private_cache_keeps_what_is_private() {
    for (arguments, stored) in [(&["--private"][..], true), (&[], false)] {
        let proxy = Proxy::start(arguments).await;
        let (mut client, mut server) = proxy.ask(GET).await;
        server
            .send("HTTP/1.1 200 OK\nCache-Control: private, max-age=600\nContent-Length: 4\n\nbody")
            .await;
        client.head().await;
        client.expect("body").await;
        client.send(GET).await;
        if stored {
            assert!(client.head().await.get("age").is_some());
        } else {
            // Over the same connection, which is still good.
            assert_eq!(server.head().await.first_line(), "GET /a HTTP/1.1");
        }
    }
}
