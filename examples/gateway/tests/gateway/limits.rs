use gateway::Config;
use serde_json::{Value, json};

use crate::{
    raw::{Head, Raw, RawUpstream},
    running::Running,
};

const GET: &str = "GET / HTTP/1.1\nHost: a\n\n";

/// Three at once, and no more within the test's time.
async fn strict(upstream: &RawUpstream, configure: impl FnOnce(&mut Config)) -> Running {
    Running::with(upstream.address(), |config| {
        config.limits.per_ip.as_mut().unwrap().quota = Some("1/h burst 3".parse().unwrap());
        configure(config);
    })
    .await
}

#[tokio::test]
async fn a_burst_is_admitted_and_the_rest_told_when_to_come_back() {
    let upstream = RawUpstream::bind().await;
    let gateway = strict(&upstream, |_| {}).await;
    let mut client = gateway.connect().await;
    client.send(GET).await;
    let mut server = upstream.accept().await;
    for left in ["2", "1", "0"] {
        server.head().await;
        server.send("HTTP/1.1 200 OK\nContent-Length: 0\n\n").await;
        let answer = client.head().await;
        assert_eq!(answer.first_line(), "HTTP/1.1 200 OK");
        assert_eq!(answer.one("ratelimit-policy"), "\"per-ip\";q=3;w=10800");
        assert!(
            answer
                .one("ratelimit")
                .starts_with(&format!("\"per-ip\";r={left};t="))
        );
        client.send(GET).await;
    }
    expect_refusal(&mut client).await;

    // Another connection of the same client is the same client; a tunnel is a request.
    for request in [
        "GET / HTTP/1.1\nHost: a\nConnection: upgrade, close\nUpgrade: websocket\n\n",
        "CONNECT a:1 HTTP/1.1\nHost: a:1\nConnection: close\n\n",
    ] {
        let mut client = gateway.connect().await;
        client.send(request).await;
        expect_refusal(&mut client).await;
    }

    // None of them reached the upstream: what comes next over its connection is nothing at all.
    drop(gateway);
    server.expect_end().await;
    assert!(upstream.is_left_alone().await);
}

async fn expect_refusal(client: &mut Raw) {
    let refusal: Head = client.head().await;
    assert_eq!(refusal.first_line(), "HTTP/1.1 429 Too Many Requests");
    let wait: u32 = refusal.one("retry-after").parse().unwrap();
    assert!((3_500..=3_600).contains(&wait), "{wait}");
    assert_eq!(refusal.one("ratelimit"), format!("\"per-ip\";r=0;t={wait}"));
    assert_eq!(refusal.one("content-type"), "application/problem+json");
    assert_eq!(refusal.one("cache-control"), "no-store");
    let length = refusal.one("content-length").parse().unwrap();
    let problem: Value = serde_json::from_slice(&client.read(length).await).unwrap();
    assert_eq!(problem["status"], json!(429));
    assert_eq!(problem["violated-policies"], json!(["per-ip"]));
}

#[tokio::test]
async fn a_client_is_who_a_trusted_proxy_says() {
    let upstream = RawUpstream::bind().await;
    let gateway = strict(&upstream, |config| {
        let text = "[client_ip]\nsource = 'x-forwarded-for'\ntrusted = ['127.0.0.0/8']";
        let trusting = gateway::config::parse(text, "test".as_ref()).unwrap();
        config.client_ip = trusting.client_ip;
    })
    .await;
    let mut client = gateway.connect().await;
    let mut server = None;
    for (ip, admitted) in [
        ("1.1.1.1", 3),
        ("2.2.2.2", 3),
        ("2001:db8::1", 3),
        ("2001:db8::2", 0),
    ] {
        // What the client wrote itself stands left of what the proxy wrote, and is not believed.
        let get = format!("GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 9.9.9.9, {ip}\n\n");
        for _ in 0..admitted {
            client.send(&get).await;
            let server = match &mut server {
                Some(server) => server,
                None => server.insert(upstream.accept().await),
            };
            let forwarded = format!("9.9.9.9, {ip}, 127.0.0.1");
            assert_eq!(server.head().await.one("x-forwarded-for"), forwarded);
            server.send("HTTP/1.1 200 OK\nContent-Length: 0\n\n").await;
            assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
        }
        client.send(&get).await;
        expect_refusal(&mut client).await;
    }
}

/// RFC 9112 §9.6: many a client writes all of its body before it reads, and never looks for an answer where it could not.
#[tokio::test]
async fn a_client_that_still_sends_hears_that_it_is_refused() {
    let gateway = Running::from("limits.per_ip.quota = '1/h'\n").await;
    for expected in ["HTTP/1.1 200 OK", "HTTP/1.1 429 Too Many Requests"] {
        let mut client = gateway.connect().await;
        let length = 20_000_000;
        client
            .send(&format!(
                "POST /echo HTTP/1.1\nHost: a\nContent-Length: {length}\nConnection: close\n\n"
            ))
            .await;
        if expected.contains("429") {
            client.send_bytes(&vec![b'x'; length]).await;
        }
        assert_eq!(client.head().await.first_line(), expected);
    }
}

/// An address may be long, and a head not much longer.
#[tokio::test]
async fn a_head_without_an_end_is_refused() {
    let gateway = Running::from("").await;
    for (length, expected) in [
        (100_000, "HTTP/1.1 200 OK"),
        (200_000, "HTTP/1.1 431 Request Header Fields Too Large"),
    ] {
        let mut client = gateway.connect().await;
        let long = "x".repeat(length);
        client
            .send(&format!(
                "GET / HTTP/1.1\nHost: a\nX-Long: {long}\nConnection: close\n\n"
            ))
            .await;
        assert_eq!(client.head().await.first_line(), expected);
    }
}
