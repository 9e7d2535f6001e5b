//! Caches, each for a route.

use serde_json::json;
use tokio::net::TcpSocket;

use crate::{
    call_log::{Logged, decisions},
    raw::{Head, Raw, RawUpstream},
    running::Running,
};

const FRESH: &str =
    "HTTP/1.1 200 OK\nCache-Control: max-age=600\nConnection: close\nContent-Length: 5\n\nhello";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\nContent-Length: 0\nConnection: close\n\n";

async fn before(upstream: &RawUpstream, more: &str) -> Running {
    Running::from(&text(upstream, more)).await
}

fn text(upstream: &RawUpstream, more: &str) -> String {
    format!(
        "upstream = 'http://{}'\nretry.attempts = 1\n{more}\n",
        upstream.address()
    )
}

async fn asked(gateway: &Running, path: &str, fields: &str) -> Raw {
    let mut client = gateway.connect().await;
    client
        .send(&format!(
            "GET {path} HTTP/1.1\nHost: a\nConnection: close\n{fields}\n"
        ))
        .await;
    client
}

/// The head of the answer, and its body.
async fn read(mut client: Raw) -> (Head, String) {
    (client.head().await, client.rest().await)
}

async fn answers(upstream: &RawUpstream, answer: &str) {
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(answer).await;
}

#[tokio::test]
async fn a_hit_asks_no_upstream_and_costs_a_tenant_nothing() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(
        &upstream,
        "limits.global.quota = '2/h'\n[[cache.routes]]\npath = '/cached'",
    )
    .await;
    let client = asked(&gateway, "/cached/x", "").await;
    answers(&upstream, FRESH).await;
    let (head, body) = read(client).await;
    assert_eq!(body, "hello");
    assert!(
        head.one("cache-status").contains("fwd=uri-miss"),
        "{head:?}"
    );
    assert!(
        head.one("ratelimit").contains("\"global\";r=1;"),
        "{head:?}"
    );

    for _ in 0..3 {
        let (head, body) = read(asked(&gateway, "/cached/x", "").await).await;
        assert_eq!((head.first_line(), &*body), ("HTTP/1.1 200 OK", "hello"));
        assert!(
            head.one("cache-status").starts_with("buttress-gateway;hit"),
            "{head:?}"
        );
        assert!(
            !head.one("ratelimit").contains("global"),
            "nobody was charged: {head:?}"
        );
    }
    let client = asked(&gateway, "/cached/y", "").await;
    answers(&upstream, NOT_FOUND).await;
    read(client).await;
    // That was the second one.
    let (head, _) = read(asked(&gateway, "/cached/z", "").await).await;
    assert_eq!(head.first_line(), "HTTP/1.1 429 Too Many Requests");
    let (head, _) = read(asked(&gateway, "/cached/x", "").await).await;
    assert_eq!(head.first_line(), "HTTP/1.1 200 OK", "a hit passes");

    let state = gateway.state().await;
    assert_eq!(state["cache"][0]["path"], "/cached");
    assert_eq!(state["cache"][0]["hits"], 4);
    assert_eq!(state["cache"][0]["keys"], 1);
}

#[tokio::test]
async fn other_routes_are_not_cached() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "[[cache.routes]]\npath = '/cached'").await;
    for path in ["/", "/cachedandmore", "/"] {
        let client = asked(&gateway, path, "").await;
        answers(&upstream, FRESH).await;
        let (head, _) = read(client).await;
        assert!(head.all("cache-status").is_empty(), "{head:?}");
    }
}

#[tokio::test]
async fn each_key_has_a_cache_of_its_own() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(
        &upstream,
        "limits.per_key.quota = '100/h'\n[[cache.routes]]\npath = '/'\nby = 'key'",
    )
    .await;
    for (key, body) in [("a", "alice"), ("b", "bobby")] {
        let field = format!("Authorization: Bearer {key}\n");
        let client = asked(&gateway, "/me", &field).await;
        answers(&upstream, &FRESH.replace("hello", body)).await;
        assert_eq!(read(client).await.1, body);
        assert_eq!(read(asked(&gateway, "/me", &field).await).await.1, body);
    }
    // Nobody's is not everybody's.
    let client = asked(&gateway, "/me", "").await;
    answers(&upstream, &FRESH.replace("hello", "other")).await;
    assert_eq!(read(client).await.1, "other");
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn of_two_routes_the_longer_holds_in_whichever_order_they_stand() {
    let all = "[[cache.routes]]\npath = '/a'\n";
    let by_key = "[[cache.routes]]\npath = '/a/b'\nby = 'key'\n";
    for routes in [[all, by_key], [by_key, all]] {
        let upstream = RawUpstream::bind().await;
        let more = format!("limits.per_key.quota = '100/h'\n{}", routes.concat());
        let gateway = before(&upstream, &more).await;
        let client = asked(&gateway, "/a/x", "").await;
        answers(&upstream, FRESH).await;
        read(client).await;
        let (head, _) = read(asked(&gateway, "/a/x", "").await).await;
        assert!(head.one("cache-status").contains(";hit"), "{head:?}");
        // Without a key it is nobody's, however often it is asked for.
        for _ in 0..2 {
            let client = asked(&gateway, "/a/b/x", "").await;
            answers(&upstream, FRESH).await;
            let (head, _) = read(client).await;
            assert!(head.all("cache-status").is_empty(), "{head:?}");
        }
    }
}

#[tokio::test]
async fn what_is_meant_for_one_is_not_shared() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "[[cache.routes]]\npath = '/'").await;
    for _ in 0..2 {
        let client = asked(&gateway, "/me", "Authorization: Bearer a\n").await;
        answers(&upstream, FRESH).await;
        read(client).await;
    }
}

#[tokio::test]
async fn what_is_stored_outlives_a_reload() {
    let upstream = RawUpstream::bind().await;
    let cached = "[[cache.routes]]\npath = '/cached'";
    let gateway = before(&upstream, cached).await;
    let client = asked(&gateway, "/cached", "").await;
    answers(&upstream, FRESH).await;
    read(client).await;
    gateway
        .reload(&text(
            &upstream,
            &format!("timeouts.response = '5s'\n{cached}"),
        ))
        .unwrap();
    let (_, body) = read(asked(&gateway, "/cached", "").await).await;
    assert_eq!(body, "hello");
    // Another configuration is another cache.
    gateway
        .reload(&text(&upstream, &format!("{cached}\ncapacity = 2_000_000")))
        .unwrap();
    let client = asked(&gateway, "/cached", "").await;
    answers(&upstream, FRESH).await;
    read(client).await;
}

#[tokio::test]
async fn a_tunnel_passes() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "[[cache.routes]]\npath = '/'").await;
    let (mut client, mut server) = gateway
        .ask(
            &upstream,
            "GET /chat HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket\n\n",
        )
        .await;
    server
        .send("HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: websocket\n\nhello")
        .await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 101 Switching Protocols");
    client.expect("hello").await;
    client.send("hi").await;
    server.expect("hi").await;
}

#[tokio::test]
async fn the_record_tells_of_hits_and_of_what_a_miss_met() {
    let upstream = RawUpstream::bind().await;
    let logged = Logged::before(
        "cached",
        &upstream,
        "limits.global.quota = '1/h'\n[[cache.routes]]\npath = '/cached'",
    )
    .await;
    let client = asked(&logged.gateway, "/cached", "").await;
    answers(&upstream, FRESH).await;
    read(client).await;
    logged.records(1).await;
    read(asked(&logged.gateway, "/cached", "").await).await;
    logged.records(2).await;
    read(asked(&logged.gateway, "/cached/else", "").await).await;
    let records = logged.records(3).await;
    let told: Vec<_> = records.iter().map(decisions).collect();
    assert_eq!(
        told,
        [
            &[
                "per_ip admitted",
                "cache uri-miss",
                "global admitted",
                "upstream answered"
            ][..],
            &["per_ip admitted", "cache hit"],
            &["per_ip admitted", "cache uri-miss", "global refused"],
        ]
    );
    assert_eq!(records[1]["bytes"], json!(5));
}

/// A field that `Connection` names goes no further than here. Who hides a field in this way is not to have the answer to a
/// request without it stored as the answer to those with it.
#[tokio::test]
async fn who_hides_a_field_from_the_upstream_teaches_no_cache() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "[[cache.routes]]\npath = '/'").await;
    let varied = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\nCache-Control: max-age=600\nVary: Accept-Language\nConnection: close\n\
             Content-Length: 2\n\n{body}"
        )
    };
    let hidden = "Accept-Language: de\nConnection: Accept-Language\n";
    let client = asked(&gateway, "/", hidden).await;
    let mut server = upstream.accept().await;
    assert!(server.head().await.all("accept-language").is_empty());
    server.send(&varied("en")).await;
    assert_eq!(read(client).await.1, "en");

    let client = asked(&gateway, "/", "Accept-Language: de\n").await;
    answers(&upstream, &varied("de")).await;
    assert_eq!(read(client).await.1, "de");
    let (_, body) = read(asked(&gateway, "/", "Accept-Language: de\n").await).await;
    assert_eq!(body, "de", "from the cache");
}

/// RFC 9111 §3.5 has that for `Authorization`, and a header of the operator's own is no other.
#[tokio::test]
async fn what_one_key_may_see_is_not_shown_to_the_next() {
    let upstream = RawUpstream::bind().await;
    let more = "limits.per_key = { quota = '100/s', key = { header = 'X-Api-Key' } }\n\
                [[cache.routes]]\npath = '/'";
    let gateway = before(&upstream, more).await;
    let answer = |control: &str, body: &str| {
        format!(
            "HTTP/1.1 200 OK\nCache-Control: max-age=600{control}\nConnection: close\n\
             Content-Length: 1\n\n{body}"
        )
    };
    for key in ["a", "b"] {
        let client = asked(&gateway, "/usage", &format!("X-Api-Key: {key}\n")).await;
        answers(&upstream, &answer("", key)).await;
        assert_eq!(read(client).await.1, key);
        let (_, body) = read(asked(&gateway, "/usage", &format!("X-Api-Key: {key}\n")).await).await;
        assert_eq!(body, key, "from the cache");
    }
    // What is for all is.
    let client = asked(&gateway, "/models", "X-Api-Key: a\n").await;
    answers(&upstream, &answer(", public", "m")).await;
    read(client).await;
    let (_, body) = read(asked(&gateway, "/models", "X-Api-Key: b\n").await).await;
    assert_eq!(body, "m");
}

/// Asks as a client of this address.
async fn asked_from(gateway: &Running, ip: &str, fields: &str) -> Raw {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{ip}:0").parse().unwrap()).unwrap();
    let mut client = Raw::on(socket.connect(gateway.address).await.unwrap());
    client
        .send(&format!(
            "GET / HTTP/1.1\nHost: a\nConnection: close\n{fields}\n"
        ))
        .await;
    client
}

/// It is told of each client's address, which no request has in it.
#[tokio::test]
async fn what_is_chosen_by_the_clients_address_is_nobody_elses() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "[[cache.routes]]\npath = '/'").await;
    let answer = FRESH.replace("Connection", "Vary: X-Forwarded-For\nConnection");
    for ip in ["127.0.0.1", "127.0.0.2", "127.0.0.1"] {
        let client = asked_from(&gateway, ip, "").await;
        let mut server = upstream.accept().await;
        assert_eq!(server.head().await.one("x-forwarded-for"), ip);
        server.send(&answer).await;
        read(client).await;
    }
}

/// A client that nobody believes to have come by TLS teaches no cache what those are answered who have.
#[tokio::test]
async fn what_is_not_believed_does_not_choose() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(
        &upstream,
        "client_ip = { source = 'x-forwarded-for', trusted = ['127.0.0.2'] }\n[[cache.routes]]\npath = '/'",
    )
    .await;
    let fields = "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: https\n";
    let answer = FRESH.replace("Connection", "Vary: X-Forwarded-Proto\nConnection");
    for (ip, proto) in [("127.0.0.1", "http"), ("127.0.0.2", "https")] {
        let client = asked_from(&gateway, ip, fields).await;
        let mut server = upstream.accept().await;
        assert_eq!(server.head().await.one("x-forwarded-proto"), proto);
        server.send(&answer).await;
        read(client).await;
        let (head, _) = read(asked_from(&gateway, ip, fields).await).await;
        assert!(head.one("cache-status").contains(";hit"), "{head:?}");
    }
}
