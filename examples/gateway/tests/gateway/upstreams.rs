//! Several upstreams, in order of preference.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time,
};

use crate::{
    raw::{Head, Raw, RawUpstream},
    running::Running,
};

const OK: &str = "HTTP/1.1 200 OK\nContent-Length: 0\nConnection: close\n\n";
const GET: &str = "GET / HTTP/1.1\nHost: a\nConnection: close\n\n";

/// Circuits that open at the second failure, and stay open for longer than a test takes.
const SENSITIVE: &str = "retry.attempts = 1\n\
                         circuit_breaker = { minimum_calls = 2, open_for = '1h', max_open_for = '2h' }\n";

async fn before(upstreams: &[&RawUpstream], more: &str) -> Running {
    let mut text = format!("{SENSITIVE}{more}");
    for (upstream, name) in upstreams.iter().zip(["a", "b", "c"]) {
        let url = format!("http://{}", upstream.address());
        text += &format!("[[upstreams]]\nname = '{name}'\nurl = '{url}'\n");
    }
    Running::from(&text).await
}

async fn asked(gateway: &Running) -> Raw {
    let mut client = gateway.connect().await;
    client.send(GET).await;
    client
}

/// The next call goes to `upstream`, which answers so.
async fn goes_to(gateway: &Running, upstream: &RawUpstream, answer: &str) -> Head {
    let mut client = asked(gateway).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(answer).await;
    client.head().await
}

#[tokio::test]
async fn the_first_is_preferred_and_passed_over_while_it_is_open() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = before(&[&a, &b], "").await;
    for status in ["200 OK", "500 Internal Server Error"] {
        let answer = format!("HTTP/1.1 {status}\nContent-Length: 0\nConnection: close\n\n");
        let head = goes_to(&gateway, &a, &answer).await;
        assert_eq!(head.first_line(), format!("HTTP/1.1 {status}"));
    }
    // Half of the two calls failed.
    let head = goes_to(&gateway, &b, OK).await;
    assert_eq!(head.first_line(), "HTTP/1.1 200 OK");
    assert!(a.is_left_alone().await);

    let state = gateway.state().await;
    assert_eq!(state["upstreams"][0]["name"], "a");
    assert_eq!(state["upstreams"][0]["breaker"]["state"], "open");
    assert_eq!(state["upstreams"][1]["breaker"]["state"], "closed");
    let wait = state["upstreams"][0]["breaker"]["retry_after_ms"].as_u64();
    assert!((1_700_000..=3_600_000).contains(&wait.unwrap()), "{wait:?}");
}

#[tokio::test]
async fn a_body_reaches_the_second_whole() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = before(&[&a, &b], "").await;
    let parked =
        "HTTP/1.1 429 Too Many Requests\nRetry-After: 60\nContent-Length: 0\nConnection: close\n\n";
    goes_to(&gateway, &a, parked).await;

    let mut client = gateway.connect().await;
    client
        .send("POST /x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\nhi\n")
        .await;
    let mut server = b.accept().await;
    assert_eq!(server.head().await.first_line(), "POST /x HTTP/1.1");
    server.expect("2\nhi\n").await;
    client.send("0\n\n").await;
    server.expect("0\n\n").await;
    server.send(OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    assert!(a.is_left_alone().await);
}

#[tokio::test]
async fn where_all_are_open_or_parked_the_answer_tells_when_the_first_is_ready() {
    let (a, b) = (RawUpstream::bind().await, RawUpstream::bind().await);
    let gateway = before(&[&a, &b], "").await;
    for (upstream, wait) in [(&a, 100), (&b, 40)] {
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\nRetry-After: {wait}\nContent-Length: 0\nConnection: close\n\n"
        );
        let head = goes_to(&gateway, upstream, &answer).await;
        assert_eq!(head.one("retry-after"), wait.to_string(), "its own word");
    }
    let mut client = asked(&gateway).await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 503 Service Unavailable");
    let wait: u32 = head.one("retry-after").parse().unwrap();
    assert!((30..=40).contains(&wait), "the earlier one: {wait}");
    assert_eq!(head.one("cache-control"), "no-store");
    let problem: Value = serde_json::from_str(&client.rest().await).unwrap();
    assert_eq!(problem["status"], json!(503));
    assert_eq!(problem["violated-policies"], json!(["a", "b"]));
    assert!(a.is_left_alone().await && b.is_left_alone().await);

    // A tunnel is a call, too.
    let mut client = gateway.connect().await;
    client.send("CONNECT a:1 HTTP/1.1\nHost: a:1\n\n").await;
    assert_eq!(
        client.head().await.first_line(),
        "HTTP/1.1 503 Service Unavailable"
    );
}

#[tokio::test]
async fn who_cannot_be_reached_or_does_not_answer_opens_its_circuit() {
    let a = RawUpstream::bind().await;
    let gone = a.address();
    drop(a);
    let b = RawUpstream::bind().await;
    let text = format!(
        "{SENSITIVE}timeouts.response = '50ms'\n\
         [[upstreams]]\nname = 'a'\nurl = 'http://{gone}'\n\
         [[upstreams]]\nname = 'b'\nurl = 'http://{}'\n",
        b.address()
    );
    let gateway = Running::from(&text).await;
    for _ in 0..2 {
        let head = asked(&gateway).await.head().await;
        assert_eq!(head.first_line(), "HTTP/1.1 502 Bad Gateway");
    }
    for _ in 0..2 {
        let mut client = asked(&gateway).await;
        let _server = b.accept().await;
        assert_eq!(
            client.head().await.first_line(),
            "HTTP/1.1 504 Gateway Timeout"
        );
    }
    let head = asked(&gateway).await.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 503 Service Unavailable");
}

#[tokio::test]
async fn a_client_that_breaks_off_is_no_failure_of_the_upstream() {
    let a = RawUpstream::bind().await;
    let gateway = before(&[&a], "").await;
    for _ in 0..3 {
        let (mut client, mut server) = gateway
            .ask(
                &a,
                "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\nhi\n",
            )
            .await;
        server.expect("2\nhi\n").await;
        client.send("rubbish\n").await;
        server.expect_end().await;
    }
    let head = goes_to(&gateway, &a, OK).await;
    assert_eq!(head.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn an_upstream_can_have_patience_of_its_own() {
    let a = RawUpstream::bind().await;
    let text = format!(
        "retry.attempts = 1\n[[upstreams]]\nurl = 'http://{}'\nresponse = '50ms'\n",
        a.address()
    );
    let gateway = Running::from(&text).await;
    let mut client = asked(&gateway).await;
    let _server = a.accept().await;
    assert_eq!(
        client.head().await.first_line(),
        "HTTP/1.1 504 Gateway Timeout"
    );
}

/// Else a few clients that send slowly would take an upstream that is fast away from all others.
#[tokio::test]
async fn a_client_that_sends_slowly_makes_no_slow_upstream() {
    let a = RawUpstream::bind().await;
    let gateway = Running::from(&format!(
        "upstream = 'http://{}'\n[circuit_breaker]\nminimum_calls = 1\nslow_after = '1s'\n",
        a.address()
    ))
    .await;
    let (mut client, mut server) = gateway
        .ask(
            &a,
            "POST / HTTP/1.1\nHost: a\nConnection: close\nTransfer-Encoding: chunked\n\n2\nhi\n",
        )
        .await;
    server.expect("2\nhi\n").await;
    // What it takes is measured.
    time::sleep(Duration::from_millis(1_200)).await;
    client.send("0\n\n").await;
    server.expect("0\n\n").await;
    server.send(OK).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    client.rest().await;
    let breaker = &gateway.state().await["upstreams"][0]["breaker"];
    assert_eq!(breaker["state"], "closed", "{breaker}");
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_configured() {
    use axum::{Router, routing::post};
    use http::{HeaderMap, Version};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = |version: Version, headers: HeaderMap, body: String| async move {
        let te = headers.get("te").map(|te| te.to_str().unwrap().to_owned());
        format!("{version:?} {te:?} {body}")
    };
    let routes = Router::new().route("/", post(answer));
    let server = tokio::spawn(async { axum::serve(listener, routes).await });
    let text = format!("[[upstreams]]\nurl = '{url}'\nhttp2 = true\n");
    let gateway = Running::from(&text).await;

    let mut client = gateway.connect().await;
    client
        .send("POST / HTTP/1.1\nHost: a\nConnection: close, TE\nTE: trailers\nContent-Length: 2\n\nhi")
        .await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    assert_eq!(client.rest().await, "HTTP/2.0 Some(\"trailers\") hi");

    // What HTTP/2 has no word for makes no failure of it, wherever the client says it.
    let mut client = gateway.connect().await;
    client
        .send(
            "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTrailer: connection\nConnection: close\n\n\
             2\nhi\n0\nConnection: close\n\n",
        )
        .await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    assert_eq!(client.rest().await, "HTTP/2.0 None hi");

    server.abort();
}

/// Its last words are not waited for: behind a body that is not taken no ping is answered, before which nothing is read.
#[tokio::test]
async fn an_upstream_of_http_2_that_dies_in_mid_body_is_missed_at_once() {
    let a = RawUpstream::bind().await;
    let gateway = Running::from(&format!(
        "retry.attempts = 1\n[[upstreams]]\nurl = 'http://{}'\nhttp2 = true\n",
        a.address()
    ))
    .await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (answer, mut upload) = stream.into_split();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
    upload.write_all(head.as_bytes()).await.unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let uploading = tokio::spawn({
        let taken = Arc::clone(&taken);
        async move {
            while upload.write_all(&[b'x'; 16_384]).await.is_ok() {
                taken.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let mut server = a.accept().await;
    server.read(100).await;
    let all = [0x7f, 0xff, 0xff, 0xff];
    let settings = [&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4][..], &all].concat();
    let window = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0, 0];
    server.send_bytes(&settings).await;
    server.send_bytes(&window).await;
    // Until nothing is taken any more.
    let mut before = usize::MAX;
    while before != taken.load(Ordering::Relaxed) {
        before = taken.load(Ordering::Relaxed);
        time::sleep(Duration::from_millis(300)).await;
    }
    server
        .send_bytes(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
        .await;
    time::sleep(Duration::from_millis(100)).await;
    drop(server);
    let mut lines = BufReader::new(answer).lines();
    let line = time::timeout(Duration::from_secs(15), lines.next_line()).await;
    let line = line.expect("it is waited for").unwrap();
    assert_eq!(line.as_deref(), Some("HTTP/1.1 502 Bad Gateway"));
    uploading.abort();
}
