//! Interim responses between a client and a cache.

use std::time::Duration;

use buttress_by_hand::within;
use tokio::time::timeout;

use crate::{GET, Proxy};

#[tokio::test]
async fn interim_responses_are_handed_on_and_not_stored() {
    let proxy = Proxy::start(&[]).await;
    let (mut client, mut server) = proxy.ask(GET).await;
    server
        .send("HTTP/1.1 103 Early Hints\nLink: </a.css>; rel=preload\nConnection: x-hop\nX-Hop: 1\n\n")
        .await;
    let hints = client.head().await;
    assert_eq!(hints.one("link"), "</a.css>; rel=preload");
    assert_eq!(hints.get("x-hop"), None);
    server
        .send("HTTP/1.1 200 OK\nCache-Control: max-age=600\nContent-Length: 4\n\nbody")
        .await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    client.expect("body").await;

    client.send(GET).await;
    let stored = client.head().await;
    assert_eq!(stored.first_line(), "HTTP/1.1 200 OK");
    assert!(stored.get("age").is_some());
    assert_eq!(stored.get("link"), None);
    client.expect("body").await;
}

/// A validation in the background was caused by a request that is answered already.
#[tokio::test]
async fn an_interim_response_to_what_nobody_waits_for_goes_nowhere() {
    let proxy = Proxy::start(&[]).await;
    let (mut client, mut server) = proxy.ask(GET).await;
    server
        .send("HTTP/1.1 200 OK\nCache-Control: max-age=0, stale-while-revalidate=600\nConnection: close\nContent-Length: 3\n\nold")
        .await;
    client.head().await;
    client.expect("old").await;
    // Nothing is validated while the fetch is still being put away.
    let mut server = within(async {
        loop {
            client.send(GET).await;
            client.head().await;
            client.expect("old").await;
            if let Ok(validation) = timeout(Duration::from_millis(50), proxy.accept()).await {
                break validation;
            }
        }
    })
    .await;
    assert_eq!(server.head().await.first_line(), "GET /a HTTP/1.1");
    client.send("GET /b HTTP/1.1\nHost: a\n\n").await;
    let mut other = proxy.accept().await;
    assert_eq!(other.head().await.first_line(), "GET /b HTTP/1.1");
    server
        .send("HTTP/1.1 103 Early Hints\nLink: </a.css>\n\nHTTP/1.1 200 OK\nCache-Control: max-age=600\nContent-Length: 3\n\nnew")
        .await;
    // When it is stored, the interim response has long come.
    let mut observer = proxy.connect().await;
    within(async {
        loop {
            observer.send(GET).await;
            observer.head().await;
            if observer.read(3).await == b"new" {
                break;
            }
        }
    })
    .await;
    other.send("HTTP/1.1 200 OK\nContent-Length: 1\n\nb").await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    client.expect("b").await;
}
