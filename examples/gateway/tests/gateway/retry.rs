//! Failing over: what is sent again, where to, and what is not.

use crate::{
    raw::{Head, Raw, RawUpstream},
    running::Running,
};

const OK: &str = "HTTP/1.1 200 OK\nContent-Length: 0\nConnection: close\n\n";
const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\nContent-Length: 0\nConnection: close\n\n";
const GET: &str = "GET / HTTP/1.1\nHost: a\nConnection: close\n\n";

/// Retries without a wait to speak of, and circuits that open when most of many calls failed.
async fn before(upstreams: &[&RawUpstream], more: &str) -> Running {
    let mut text = format!(
        "retry.backoff = '1ms'\nretry.max_backoff = '1ms'\n{more}\n\
         circuit_breaker.open_for = '1h'\ncircuit_breaker.max_open_for = '1h'\n"
    );
    for (upstream, name) in upstreams.iter().zip(["a", "b", "c"]) {
        let url = format!("http://{}", upstream.address());
        text += &format!("[[upstreams]]\nname = '{name}'\nurl = '{url}'\n");
    }
    Running::from(&text).await
}

async fn asked(gateway: &Running, request: &str) -> Raw {
    let mut client = gateway.connect().await;
    client.send(request).await;
    client
}

/// The request reaches `upstream`, which answers so.
async fn answers(upstream: &RawUpstream, answer: &str) -> Head {
    let mut server = upstream.accept().await;
    let request = server.head().await;
    server.send(answer).await;
    request
}

#[tokio::test]
async fn a_failure_goes_to_the_next_in_order_of_preference() {
    let (a, b, c) = (
        RawUpstream::bind().await,
        RawUpstream::bind().await,
        RawUpstream::bind().await,
    );
    let gateway = before(&[&a, &b, &c], "").await;
    let mut client = asked(&gateway, GET).await;
    answers(&a, BROKEN).await;
    // One that breaks off is no better than one that says so.
    let mut server = b.accept().await;
    server.head().await;
    drop(server);
    let request = answers(&c, OK).await;
    assert_eq!(request.one("via"), "1.1 buttress-gateway", "once");
    assert_eq!(request.one("x-forwarded-for"), "127.0.0.1");
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");

    // With the next call it is the first one's turn again.
    let mut client = asked(&gateway, GET).await;
    answers(&a, OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    for upstream in [&a, &b, &c] {
        assert!(upstream.is_left_alone().await);
    }
}

#[tokio::test]
async fn a_single_upstream_is_asked_again() {
    let a = RawUpstream::bind().await;
    let gateway = before(&[&a], "").await;
    let mut client = asked(&gateway, GET).await;
    answers(&a, BROKEN).await;
    answers(&a, BROKEN).await;
    answers(&a, BROKEN).await;
    let head = client.head().await;
    assert_eq!(
        head.first_line(),
        "HTTP/1.1 500 Internal Server Error",
        "its own word"
    );
    assert!(a.is_left_alone().await);
}

#[tokio::test]
async fn a_body_is_sent_again_whole() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = before(&[&a, &b], "").await;
    let put = "PUT /x HTTP/1.1\nHost: a\nConnection: close\nTransfer-Encoding: chunked\n\n2\nhi\n";
    let mut client = asked(&gateway, put).await;
    let mut first = a.accept().await;
    first.head().await;
    first.expect("2\nhi\n").await;
    first.send(BROKEN).await;
    client.send("5\nagain\n0\n\n").await;
    let mut second = b.accept().await;
    assert_eq!(second.head().await.first_line(), "PUT /x HTTP/1.1");
    second.expect("2\nhi\n5\nagain\n0\n\n").await;
    second.send(OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_body_beyond_the_cap_is_sent_once() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = before(&[&a, &b], "retry.max_body = 100").await;
    let body = "x".repeat(1_000);
    let put =
        format!("PUT /x HTTP/1.1\nHost: a\nConnection: close\nContent-Length: 1000\n\n{body}");
    let mut client = asked(&gateway, &put).await;
    let mut server = a.accept().await;
    server.head().await;
    server.read(1_000).await;
    server.send(BROKEN).await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 500 Internal Server Error");
    assert!(b.is_left_alone().await);
}

#[tokio::test]
async fn what_may_not_be_done_twice_is_not() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = before(&[&a, &b], "").await;
    let mut client = asked(&gateway, POST).await;
    answers(&a, BROKEN).await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 500 Internal Server Error");
    assert!(b.is_left_alone().await);

    // Its sender says that it may.
    let post = "POST / HTTP/1.1\nHost: a\nConnection: close\nIdempotency-Key: \"k\"\nContent-Length: 2\n\nhi";
    let mut client = asked(&gateway, post).await;
    answers(&a, BROKEN).await;
    answers(&b, OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn what_was_not_sent_goes_elsewhere_whatever_it_is() {
    let (gone, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let text = before_gone(gone, &b);
    let gateway = Running::from(&text).await;
    for request in [
        "POST / HTTP/1.1\nHost: a\nConnection: close\nContent-Length: 2\n\nhi",
        "CONNECT a:1 HTTP/1.1\nHost: a:1\nConnection: close\n\n",
        "GET / HTTP/1.1\nHost: a\nConnection: upgrade, close\nUpgrade: websocket\n\n",
    ] {
        let mut client = asked(&gateway, request).await;
        answers(
            &b,
            "HTTP/1.1 404 Not Found\nContent-Length: 0\nConnection: close\n\n",
        )
        .await;
        assert_eq!(client.head().await.first_line(), "HTTP/1.1 404 Not Found");
    }
}

fn before_gone(gone: RawUpstream, b: &RawUpstream) -> String {
    let text = format!(
        "[[upstreams]]\nurl = 'http://{}'\n[[upstreams]]\nurl = 'http://{}'\n",
        gone.address(),
        b.address()
    );
    drop(gone);
    text
}

#[tokio::test]
async fn a_tunnel_opens_at_the_upstream_that_is_there() {
    let (gone, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = Running::from(&before_gone(gone, &b)).await;
    let mut client = asked(&gateway, "CONNECT a:1 HTTP/1.1\nHost: a:1\n\n").await;
    let mut server = b.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\n\n").await;
    client.head().await;
    client.send("ping").await;
    server.expect("ping").await;
    server.send("pong").await;
    client.expect("pong").await;
}

#[tokio::test]
async fn nothing_is_sent_again_after_the_first_byte() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = before(&[&a, &b], "").await;
    let mut client = asked(&gateway, GET).await;
    let mut server = a.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 200 OK\nContent-Length: 9\n\nhi")
        .await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    client.expect("hi").await;
    drop(server);
    client.expect_end().await;
    assert!(b.is_left_alone().await);
}

const POST: &str = "POST / HTTP/1.1\nHost: a\nConnection: close\nContent-Length: 2\n\nhi";

const THROTTLED: &str =
    "HTTP/1.1 429 Too Many Requests\nRetry-After: 60\nContent-Length: 0\nConnection: close\n\n";

#[tokio::test]
async fn one_too_many_goes_elsewhere_and_the_rest_follows() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = before(&[&a, &b], "").await;
    let mut client = asked(&gateway, GET).await;
    answers(&a, THROTTLED).await;
    answers(&b, OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    // It asked to be left alone, and is.
    let mut client = asked(&gateway, GET).await;
    answers(&b, THROTTLED).await;
    // There is nowhere else to go: this is its own word.
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 429 Too Many Requests");
    assert_eq!(head.one("retry-after"), "60");
    assert!(a.is_left_alone().await && b.is_left_alone().await);
}

/// Else whoever uses up a quota of his own takes the upstream away from all others.
#[tokio::test]
async fn what_is_said_to_one_caller_is_no_word_about_others() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = before(&[&a, &b], "circuit_breaker.throttled = 'caller'").await;
    for _ in 0..2 {
        let mut client = asked(&gateway, GET).await;
        answers(&a, THROTTLED).await;
        let head = client.head().await;
        assert_eq!(head.first_line(), "HTTP/1.1 429 Too Many Requests");
        assert_eq!(head.one("retry-after"), "60");
    }
    let mut client = asked(&gateway, GET).await;
    answers(&a, OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    assert!(b.is_left_alone().await);
}

#[tokio::test]
async fn a_post_goes_elsewhere_where_the_operator_says_so() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = before(&[&a, &b], "").await;
    let mut client = asked(&gateway, POST).await;
    answers(&a, THROTTLED).await;
    assert_eq!(
        client.head().await.first_line(),
        "HTTP/1.1 429 Too Many Requests"
    );

    let gateway = before(&[&a, &b], "retry.throttled = true").await;
    let mut client = asked(&gateway, POST).await;
    answers(&a, THROTTLED).await;
    answers(&b, OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn who_is_ready_soon_is_waited_for() {
    let a = RawUpstream::bind().await;
    let gateway = before(&[&a], "retry.max_wait = '5s'").await;
    let mut client = asked(&gateway, GET).await;
    let soon = THROTTLED.replace("60", "1");
    answers(&a, &soon).await;
    answers(&a, OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_budget_holds_retries_back() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = before(&[&a, &b], "retry.budget = 0.5\nretry.budget_per_second = 0").await;
    for retried in [false, true, false, true] {
        let mut client = asked(&gateway, GET).await;
        answers(&a, BROKEN).await;
        if retried {
            answers(&b, OK).await;
        }
        let ok = client.head().await.first_line() == "HTTP/1.1 200 OK";
        assert_eq!(ok, retried);
    }
}

/// Who accepts and then says nothing, as a machine does that hangs, was sent nothing that another one must not be sent.
#[tokio::test]
async fn what_has_no_connection_in_time_goes_elsewhere_whatever_it_is() {
    let (hangs, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = Running::from(&format!(
        "timeouts.connect = '50ms'\n[[upstreams]]\nurl = 'https://{}'\n[[upstreams]]\nurl = 'http://{}'\n",
        hangs.address(),
        b.address()
    ))
    .await;
    for request in [
        "POST / HTTP/1.1\nHost: a\nConnection: close\nContent-Length: 2\n\nhi",
        "CONNECT a:1 HTTP/1.1\nHost: a:1\nConnection: close\n\n",
    ] {
        let mut client = asked(&gateway, request).await;
        // It waits for a handshake.
        let _stuck = hangs.accept().await;
        answers(
            &b,
            "HTTP/1.1 404 Not Found\nContent-Length: 0\nConnection: close\n\n",
        )
        .await;
        assert_eq!(client.head().await.first_line(), "HTTP/1.1 404 Not Found");
    }
}
