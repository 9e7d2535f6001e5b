//! What a file leaves out is not there.

use gateway::{Config, config::parse};
use serde_json::Value;

use crate::{
    raw::{Head, RawUpstream},
    running::Running,
};

const GET: &str = "GET / HTTP/1.1\nHost: a\nConnection: close\n\n";
const OK: &str = "HTTP/1.1 200 OK\nContent-Length: 0\nConnection: close\n\n";
const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\nContent-Length: 0\nConnection: close\n\n";
const BUSY: &str =
    "HTTP/1.1 429 Too Many Requests\nRetry-After: 60\nContent-Length: 0\nConnection: close\n\n";

/// What a file says, and nothing else.
fn file(upstreams: &[&RawUpstream], layers: &str) -> Config {
    let mut text = format!("listen = '127.0.0.1:0'\n{layers}\n");
    for upstream in upstreams {
        text += &format!("[[upstreams]]\nurl = 'http://{}'\n", upstream.address());
    }
    parse(&text, "test".as_ref()).unwrap()
}

/// A call that only `upstream` is asked for, once, and what came of it.
async fn call(gateway: &Running, upstream: &RawUpstream, answer: &str) -> Head {
    let (mut client, mut server) = gateway.ask(upstream, GET).await;
    server.send(answer).await;
    client.head().await
}

#[tokio::test]
async fn a_file_without_layers_makes_a_plain_proxy() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = Running::of(&file(&[&a, &b], "")).await;
    // More than the limit of a gateway without a file admits at once, and enough to open its circuit.
    for answer in [OK, BUSY, BROKEN].iter().cycle().take(30) {
        let head = call(&gateway, &a, answer).await;
        let (expected, _) = answer.split_once('\n').unwrap();
        assert_eq!(head.first_line(), expected, "handed on as it is");
        assert!(head.all("ratelimit").is_empty(), "{head:?}");
    }
    assert!(b.is_left_alone().await, "nothing is sent again");

    let state = gateway.state().await;
    assert_eq!(state["limits"], Value::Array(vec![]));
    assert_eq!(state["cache"], Value::Array(vec![]));
    let [first, second] = &state["upstreams"].as_array().unwrap()[..] else {
        panic!("two upstreams");
    };
    assert_eq!(
        (&first["breaker"], &second["breaker"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(first["parked_ms"], Value::Null);
}

#[tokio::test]
async fn retry_needs_no_circuit() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let layers = "[retry]\nattempts = 2\nbackoff = '1ms'\nmax_backoff = '1ms'";
    let gateway = Running::of(&file(&[&a, &b], layers)).await;
    let mut client = gateway.connect().await;
    client.send(GET).await;
    for (upstream, answer) in [(&a, BUSY), (&b, OK)] {
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(answer).await;
    }
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    // Nobody parked it.
    let head = call(&gateway, &a, OK).await;
    assert_eq!(head.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_circuit_needs_no_retry() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = Running::of(&file(&[&a, &b], "[circuit_breaker]")).await;
    let head = call(&gateway, &a, BUSY).await;
    assert_eq!(head.first_line(), "HTTP/1.1 429 Too Many Requests");
    let head = call(&gateway, &b, OK).await;
    assert_eq!(head.first_line(), "HTTP/1.1 200 OK", "the first is parked");
}

#[tokio::test]
async fn tenants_limits_need_none_by_address() {
    let a = RawUpstream::bind().await;
    let gateway = Running::of(&file(&[&a], "[limits.global]\nquota = '1/h'")).await;
    let head = call(&gateway, &a, OK).await;
    assert_eq!(head.one("ratelimit-policy"), "\"global\";q=1;w=3600");
    let mut client = gateway.connect().await;
    client.send(GET).await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 429 Too Many Requests");
    assert_eq!(head.one("ratelimit-policy"), "\"global\";q=1;w=3600");
}

#[tokio::test]
async fn a_reload_adds_layers_and_takes_them_away() {
    let a = RawUpstream::bind().await;
    let layers = "[limits.per_ip]\nquota = '2/h'\n[retry]\n[circuit_breaker]";
    let gateway = Running::of(&file(&[&a], "")).await;
    call(&gateway, &a, OK).await;
    gateway.reload_to(file(&[&a], layers)).unwrap();
    let head = call(&gateway, &a, OK).await;
    assert_eq!(head.one("ratelimit-policy"), "\"per-ip\";q=2;w=3600");
    call(&gateway, &a, BUSY).await;
    let state = gateway.state().await;
    assert_eq!(state["limits"][0]["name"], "per-ip");
    assert!(state["upstreams"][0]["parked_ms"].as_u64().unwrap() > 0);
    let mut client = gateway.connect().await;
    client.send(GET).await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 429 Too Many Requests");

    gateway.reload_to(file(&[&a], "")).unwrap();
    for _ in 0..3 {
        let head = call(&gateway, &a, OK).await;
        assert_eq!(head.first_line(), "HTTP/1.1 200 OK");
    }
}

#[tokio::test]
async fn retry_without_a_circuit_keeps_to_the_word_of_the_only_upstream() {
    let post = "POST / HTTP/1.1\nHost: a\nConnection: close\nContent-Length: 2\n\nhi";
    for (layers, request) in [
        ("retry.backoff = '1ms'", GET),
        ("retry.backoff = '1ms'\nretry.throttled = true", post),
    ] {
        let a = RawUpstream::bind().await;
        let gateway = Running::of(&file(&[&a], layers)).await;
        let (mut client, mut server) = gateway.ask(&a, request).await;
        server.send(BUSY).await;
        let head = client.head().await;
        assert_eq!(
            head.first_line(),
            "HTTP/1.1 429 Too Many Requests",
            "{layers}"
        );
        assert_eq!(head.one("retry-after"), "60");
        assert!(a.is_left_alone().await, "{layers}");
    }
}

#[tokio::test]
async fn retry_without_a_circuit_goes_to_another_upstream_at_once() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = Running::of(&file(&[&a, &b], "retry.backoff = '1ms'")).await;
    let (mut client, mut server) = gateway.ask(&a, GET).await;
    server.send(BUSY).await;
    let mut server = b.accept().await;
    server.head().await;
    server.send(OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
}
