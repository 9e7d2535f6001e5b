mod lengths;

use bytes::Bytes;
use gateway::Config;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

use crate::{
    raw::{RawUpstream, within},
    running::Running,
};

#[tokio::test]
async fn a_request_goes_there_and_an_answer_comes_back() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let mut client = gateway.connect().await;
    client
        .send("GET /a%2Fb?q=%20 HTTP/1.1\nHost: asked.example\nCookie: x=1\n\n")
        .await;

    let mut server = upstream.accept().await;
    let request = server.head().await;
    assert_eq!(request.first_line(), "GET /a%2Fb?q=%20 HTTP/1.1");
    assert_eq!(request.one("host"), upstream.address().to_string());
    assert_eq!(request.one("cookie"), "x=1");
    assert_eq!(request.one("x-forwarded-for"), "127.0.0.1");
    assert_eq!(request.one("x-forwarded-host"), "asked.example");
    assert_eq!(request.one("x-forwarded-proto"), "http");
    assert_eq!(request.one("via"), "1.1 buttress-gateway");
    assert!(request.all("transfer-encoding").is_empty());

    server
        .send("HTTP/1.1 404 Not Found\nContent-Length: 2\nSet-Cookie: a\nSet-Cookie: b\n\nno")
        .await;
    let answer = client.head().await;
    assert_eq!(answer.first_line(), "HTTP/1.1 404 Not Found");
    assert_eq!(answer.all("set-cookie"), ["a", "b"]);
    assert_eq!(answer.one("via"), "1.1 buttress-gateway");
    client.expect("no").await;
}

/// Anybody else could say that it was TLS.
#[tokio::test]
async fn only_a_proxy_that_is_believed_says_how_it_was_asked() {
    for (trusted, proto, host) in [
        ("127.0.0.0/8", "https", "outside.example"),
        ("192.0.2.0/24", "http", "a"),
    ] {
        let upstream = RawUpstream::bind().await;
        let gateway = Running::from(&format!(
            "upstream = 'http://{}'\nclient_ip = {{ source = 'x-forwarded-for', trusted = ['{trusted}'] }}\n",
            upstream.address()
        ))
        .await;
        let mut client = gateway.connect().await;
        client
            .send(
                "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: https\n\
                 X-Forwarded-Host: outside.example\n\n",
            )
            .await;
        let request = upstream.accept().await.head().await;
        assert_eq!(request.one("x-forwarded-for"), "192.0.2.1, 127.0.0.1");
        assert_eq!(request.one("x-forwarded-proto"), proto, "{trusted}");
        assert_eq!(request.one("x-forwarded-host"), host, "{trusted}");
    }
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let mut client = gateway.connect().await;
    client
        .send("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\none\n")
        .await;

    let mut server = upstream.accept().await;
    assert_eq!(server.head().await.one("transfer-encoding"), "chunked");
    server.expect("3\none\n").await;
    // The answer may begin before the request has ended.
    server
        .send("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nfirst\n")
        .await;
    assert_eq!(client.head().await.one("transfer-encoding"), "chunked");
    client.expect("5\nfirst\n").await;

    client.send("3\ntwo\n0\n\n").await;
    server.expect("3\ntwo\n0\n\n").await;
    server.send("4\nlast\n0\n\n").await;
    client.expect("4\nlast\n0\n\n").await;
}

#[tokio::test]
async fn what_is_for_one_hop_stays_there() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let mut client = gateway.connect().await;
    client
        .send(
            "GET / HTTP/1.1\nHost: a\nConnection: keep-alive, X-Mine, X-Forwarded-For\nX-Mine: 1\n\
             Keep-Alive: timeout=5\nProxy-Authorization: x\nTE: gzip\nUpgrade: h2c\nX-Stays: 1\n\n",
        )
        .await;

    let mut server = upstream.accept().await;
    let request = server.head().await;
    for gone in [
        "connection",
        "x-mine",
        "keep-alive",
        "proxy-authorization",
        "te",
        "upgrade",
    ] {
        assert!(request.all(gone).is_empty(), "{gone}");
    }
    assert_eq!(request.one("x-stays"), "1");
    assert_eq!(
        request.one("x-forwarded-for"),
        "127.0.0.1",
        "ours cannot be named away"
    );

    server
        .send(
            "HTTP/1.1 200 OK\nConnection: x-mine\nX-Mine: 1\nKeep-Alive: timeout=5\n\
             Content-Length: 0\nX-Stays: 1\n\n",
        )
        .await;
    let answer = client.head().await;
    for gone in ["connection", "x-mine", "keep-alive"] {
        assert!(answer.all(gone).is_empty(), "{gone}");
    }
    assert_eq!(answer.one("x-stays"), "1");
}

#[tokio::test]
async fn trailers_cross() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let mut client = gateway.connect().await;
    client
        .send(
            "POST / HTTP/1.1\nHost: a\nTE: trailers\nConnection: TE\nTrailer: x-up\n\
             Transfer-Encoding: chunked\n\n0\nx-up: 1\n\n",
        )
        .await;

    let mut server = upstream.accept().await;
    let request = server.head().await;
    assert_eq!(request.one("te"), "trailers");
    assert_eq!(request.one("trailer"), "x-up");
    server.expect("0\nx-up: 1\n\n").await;
    server
        .send("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: x-down\n\n2\nok\n0\nx-down: 1\n\n")
        .await;
    client.head().await;
    client.expect("2\nok\n0\nx-down: 1\n\n").await;
}

/// RFC 9110 §6.5.1: they come when it is decided whose a request is and how long.
#[tokio::test]
async fn trailers_that_route_or_vouch_stay_behind() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let (mut client, mut server) = gateway
        .ask(
            &upstream,
            "POST / HTTP/1.1\nHost: a\nTE: trailers\nConnection: TE\nTrailer: x-up, x-forwarded-for, connection, x-mine\n\
             Transfer-Encoding: chunked\n\n0\nX-Forwarded-For: 192.0.2.1\nConnection: x-mine\nX-Mine: 1\nx-up: 1\n\n",
        )
        .await;
    server.expect("0\nx-up: 1\n\n").await;
    server
        .send(
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: x-down, keep-alive\n\n2\nok\n0\nKeep-Alive: 5\n\
             x-down: 1\n\n",
        )
        .await;
    client.head().await;
    client.expect("2\nok\n0\nx-down: 1\n\n").await;
}

#[tokio::test]
async fn the_authority_that_a_client_names_is_not_where_it_goes() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let mut client = gateway.connect().await;
    client
        .send("GET http://elsewhere.example/x HTTP/1.1\nHost: a\n\n")
        .await;
    let request = upstream.accept().await.head().await;
    assert_eq!(request.first_line(), "GET /x HTTP/1.1");
    assert_eq!(request.one("x-forwarded-host"), "elsewhere.example");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let (client, mut server) = gateway.ask(&upstream, "GET / HTTP/1.1\nHost: a\n\n").await;
    drop(client);
    server.expect_end().await;
}

#[tokio::test]
async fn connections_are_reused() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let mut client = gateway.connect().await;
    client.send("GET /1 HTTP/1.1\nHost: a\n\n").await;
    let mut server = upstream.accept().await;
    for next in ["GET /2 HTTP/1.1", "GET /3 HTTP/1.1"] {
        server.head().await;
        server
            .send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
            .await;
        client.head().await;
        client.expect("ok").await;
        client.send(&format!("{next}\nHost: a\n\n")).await;
    }
    assert_eq!(server.head().await.first_line(), "GET /3 HTTP/1.1");
}

#[tokio::test]
async fn h2c_comes_in() {
    let mut config = Config::default();
    config.listen = "127.0.0.1:0".parse().unwrap();
    let gateway = Running::of(&config).await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();

    let url = format!("http://{}/echo", gateway.address);
    let request = Request::post(url)
        .body(Full::new(Bytes::from_static(b"hello")))
        .unwrap();
    let answer = within(client.request(request)).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, http::Version::HTTP_2)
    );
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );

    let url = format!("http://{}/headers", gateway.address);
    let request = Request::get(url).body(Full::default()).unwrap();
    let answer = within(client.request(request)).await.unwrap();
    let seen = answer.into_body().collect().await.unwrap().to_bytes();
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("via: 2.0 buttress-gateway\n"), "{seen}");
    assert!(
        seen.contains(&format!("x-forwarded-host: {}\n", gateway.address)),
        "{seen}"
    );
}

/// RFC 9113 §8.2.3: HTTP/2 may bring a cookie a line, and HTTP/1.1 knows one line only.
#[tokio::test]
async fn cookies_of_http2_become_one_line() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let request = Request::get(format!("http://{}/", gateway.address))
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("cookie", "c=3")
        .body(Full::<Bytes>::default())
        .unwrap();
    let _answer = tokio::spawn(client.request(request));
    let request = upstream.accept().await.head().await;
    assert_eq!(request.one("cookie"), "a=1; b=2; c=3");
}

/// RFC 9110 §7.6.2.
#[tokio::test]
async fn a_request_that_is_to_go_no_further_does_not() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let asked = async |method: &str, hops: u32| {
        let mut client = gateway.connect().await;
        client
            .send(&format!(
                "{method} /a?b HTTP/1.1\nHost: h\nMax-Forwards: {hops}\nVia: 1.0 x\nAuthorization: s3cret\n\
                 Cookie: s3cret\nX-Api-Key: s3cret\nConnection: close\n\n"
            ))
            .await;
        client
    };
    let mut client = asked("TRACE", 0).await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 200 OK");
    assert_eq!(head.one("content-type"), "message/http");
    assert_eq!(
        client.rest().await,
        "TRACE /a?b HTTP/1.1\r\nhost: h\r\nvia: 1.0 x\r\nmax-forwards: 0\r\n\r\n",
        "and no secret"
    );
    let mut client = asked("OPTIONS", 0).await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    assert_eq!(client.rest().await, "");
    assert!(upstream.is_left_alone().await);

    for (method, left) in [("TRACE", "1"), ("OPTIONS", "1"), ("GET", "2")] {
        let _client = asked(method, 2).await;
        let request = upstream.accept().await.head().await;
        assert_eq!(request.one("max-forwards"), left, "{method}");
    }
}

/// RFC 9110 §7.6: an address that leads back is a mistake that must not take the machine along.
#[tokio::test]
async fn a_request_that_goes_in_a_circle_ends() {
    let gateway = Running::from("").await;
    let own = gateway.address;
    gateway
        .reload(&format!("upstream = 'http://{own}'\n"))
        .unwrap();
    let mut client = gateway.connect().await;
    client
        .send("GET / HTTP/1.1\nHost: a\nConnection: close\n\n")
        .await;
    assert_eq!(
        client.head().await.first_line(),
        "HTTP/1.1 508 Loop Detected"
    );
    assert_eq!(gateway.state().await["in_flight"], 0);
}

#[tokio::test]
async fn nothing_leads_out_of_the_path_that_an_upstream_has() {
    let upstream = RawUpstream::bind().await;
    let address = upstream.address();
    let gateway = Running::from(&format!("upstream = 'http://{address}/base'\n")).await;
    for wish in ["", "Connection: upgrade\nUpgrade: websocket\n"] {
        for path in ["/../admin", "/%2e%2E/admin", "/x/..%2f../admin"] {
            let mut client = gateway.connect().await;
            client
                .send(&format!("GET {path} HTTP/1.1\nHost: a\n{wish}\n"))
                .await;
            let head = client.head().await;
            assert_eq!(head.first_line(), "HTTP/1.1 400 Bad Request", "{path}");
        }
        assert!(upstream.is_left_alone().await);
        let mut client = gateway.connect().await;
        client
            .send(&format!("GET /x/../y HTTP/1.1\nHost: a\n{wish}\n"))
            .await;
        let head = upstream.accept().await.head().await;
        assert_eq!(head.first_line(), "GET /base/x/../y HTTP/1.1");
    }
}
