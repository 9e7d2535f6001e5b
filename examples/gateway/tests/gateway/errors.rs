//! The gateway's own errors, as the caller speaks.

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    grpc,
    raw::{Head, RawUpstream, within},
    running::Running,
};

async fn asked(gateway: &Running, path: &str, fields: &str) -> (Head, Value) {
    let mut client = gateway.connect().await;
    client
        .send(&format!(
            "GET {path} HTTP/1.1\nHost: a\nConnection: close\n{fields}\n"
        ))
        .await;
    let head = client.head().await;
    let body = serde_json::from_str(&client.rest().await).unwrap_or_default();
    (head, body)
}

const BEARER: &str = "Authorization: Bearer s3cret\n";

#[tokio::test]
async fn openais_callers_read_openais_errors() {
    let gateway = Running::from("limits.per_key = { quota = '1/h', missing = 'share' }\n").await;
    let (head, _) = asked(&gateway, "/v1/models", BEARER).await;
    assert_eq!(
        head.first_line(),
        "HTTP/1.1 404 Not Found",
        "the upstream's own"
    );

    let (head, body) = asked(&gateway, "/v1/models", BEARER).await;
    assert_eq!(head.first_line(), "HTTP/1.1 429 Too Many Requests");
    assert_eq!(head.one("content-type"), "application/json");
    let seconds: u64 = head.one("retry-after").parse().unwrap();
    let millis: u64 = head.one("retry-after-ms").parse().unwrap();
    assert!(
        millis <= seconds * 1_000 && millis > (seconds - 1) * 1_000,
        "{millis}"
    );
    assert!(head.one("ratelimit-policy").contains("\"per-key\""));
    let error = &body["error"];
    assert_eq!(error["type"], "requests");
    assert_eq!(error["code"], "rate_limit_exceeded");
    assert_eq!(error["param"], Value::Null);
    assert!(
        error["message"].as_str().unwrap().contains("Retry-After"),
        "{error}"
    );

    // Without a token, or elsewhere, nobody speaks it.
    asked(&gateway, "/v1/models", "").await;
    for (path, fields) in [("/v1/models", ""), ("/v2", BEARER), ("/v1x", BEARER)] {
        let (head, body) = asked(&gateway, path, fields).await;
        assert_eq!(head.first_line(), "HTTP/1.1 429 Too Many Requests");
        assert_eq!(head.one("content-type"), "application/problem+json");
        assert_eq!(body["status"], json!(429), "{path}");
    }
}

#[tokio::test]
async fn a_failure_of_an_upstream_is_told_in_each_of_them() {
    let upstream = RawUpstream::bind().await.address();
    let gateway = Running::from(&format!(
        "upstream = 'http://{upstream}'\nerrors.openai = ['/llm']\n"
    ))
    .await;
    let (head, body) = asked(&gateway, "/llm/x", BEARER).await;
    assert_eq!(head.first_line(), "HTTP/1.1 502 Bad Gateway");
    assert_eq!(
        body,
        json!({"error": {
            "message": "the upstream cannot be reached",
            "type": "server_error",
            "param": null,
            "code": "upstream_unreachable",
        }})
    );
    let (head, body) = asked(&gateway, "/v1/x", BEARER).await;
    assert_eq!(head.one("content-type"), "application/problem+json");
    assert_eq!(body["status"], json!(502));

    let response = grpc::call(&gateway, "/pkg.Service/Method", "application/grpc").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/grpc");
    assert_eq!(response.headers()["grpc-status"], "14");
    let body = within(response.into_body().collect()).await.unwrap();
    assert!(body.to_bytes().is_empty());
}

/// Who may not enter is not told how often.
#[tokio::test]
async fn a_key_that_is_missing_is_all_that_is_said() {
    let gateway = Running::from("limits.per_key = { quota = '1/h', missing = 'refuse' }\n").await;
    let (head, _) = asked(&gateway, "/", "").await;
    assert_eq!(head.first_line(), "HTTP/1.1 401 Unauthorized");
    assert!(head.all("ratelimit").is_empty(), "{head:?}");
}

#[tokio::test]
async fn openais_callers_read_when_an_upstream_is_ready() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::from(&format!("upstream = 'http://{}'\n", upstream.address())).await;
    let parks = async {
        let mut server = upstream.accept().await;
        server.head().await;
        let answer = "HTTP/1.1 503 Service Unavailable\nRetry-After: 60\nContent-Length: 0\nConnection: close\n\n";
        server.send(answer).await;
    };
    tokio::join!(parks, asked(&gateway, "/v1/models", BEARER));

    let (head, body) = asked(&gateway, "/v1/models", BEARER).await;
    assert_eq!(head.first_line(), "HTTP/1.1 503 Service Unavailable");
    assert_eq!(body["error"]["code"], "upstreams_unavailable");
    let millis: u64 = head.one("retry-after-ms").parse().unwrap();
    assert!((30_000..=60_000).contains(&millis), "{millis}");
}

#[tokio::test]
async fn a_key_that_is_missing_is_unauthenticated_in_grpc() {
    let gateway = Running::from("limits.per_key = { quota = '1/h', missing = 'refuse' }\n").await;
    let response = grpc::call(&gateway, "/pkg.Service/Method", "application/grpc+proto").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["grpc-status"], "16");
}

/// RFC 9112 §3.2: of two hosts one is read here, and perhaps the other further in.
#[tokio::test]
async fn a_request_that_does_not_say_one_host_goes_nowhere() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    for hosts in ["", "Host: a\nHost: b\n", "Host: a b\n"] {
        let mut client = gateway.connect().await;
        client
            .send(&format!("GET / HTTP/1.1\n{hosts}Connection: close\n\n"))
            .await;
        let head = client.head().await;
        assert_eq!(head.first_line(), "HTTP/1.1 400 Bad Request", "{hosts:?}");
        assert_eq!(head.one("content-type"), "application/problem+json");
        assert!(client.rest().await.contains("one host"));
    }
    assert!(upstream.is_left_alone().await);

    // HTTP/1.0 need not say any.
    let mut client = gateway.connect().await;
    client.send("GET / HTTP/1.0\n\n").await;
    upstream.accept().await.head().await;
}

/// RFC 9112 §3.2: what is forwarded in another form is another request.
#[tokio::test]
async fn a_target_that_is_none_of_its_methods_goes_nowhere() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    for line in [
        "GET foo",
        "GET foo:80",
        "GET *",
        "GET http://user:secret@h/",
        "CONNECT h",
        "CONNECT user@h:1",
        "CONNECT http://h:1/",
    ] {
        let mut client = gateway.connect().await;
        client
            .send(&format!("{line} HTTP/1.1\nHost: h\nConnection: close\n\n"))
            .await;
        let head = client.head().await;
        assert_eq!(head.first_line(), "HTTP/1.1 400 Bad Request", "{line}");
        assert!(client.rest().await.contains("target"));
    }
    assert!(upstream.is_left_alone().await);
}

/// RFC 9112 §6.1. What was compressed for the way would come to the upstream as if that were the content.
#[tokio::test]
async fn a_transfer_coding_that_is_not_known_goes_nowhere() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    for coding in [
        "gzip, chunked",
        "gzip\nTransfer-Encoding: chunked",
        "chunked, chunked",
    ] {
        let mut client = gateway.connect().await;
        client
            .send(&format!(
                "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: {coding}\nConnection: close\n\n2\nhi\n0\n\n"
            ))
            .await;
        let head = client.head().await;
        assert_eq!(
            head.first_line(),
            "HTTP/1.1 501 Not Implemented",
            "{coding}"
        );
        assert!(client.rest().await.contains("chunked"));
    }
    assert!(upstream.is_left_alone().await);
}

/// A caller of HTTP/2 that is sent a body with the answer to a HEAD takes it for an error of the connection's.
#[tokio::test]
async fn the_refusal_of_a_head_has_no_body_whatever_the_caller_speaks() {
    for (path, bearer) in [("/v1/models", "s3cret"), ("/v2", "")] {
        let gateway = Running::from("limits.per_ip.quota = '1/h'\n").await;
        for expected in [404, 429] {
            let stream = TcpStream::connect(gateway.address).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                    .await
                    .unwrap();
            tokio::spawn(connection);
            let request = Request::head(format!("http://a{path}"))
                .header("authorization", format!("Bearer {bearer}"))
                .body(Empty::<Bytes>::new())
                .unwrap();
            let answer = within(sender.send_request(request)).await.unwrap();
            assert_eq!(answer.status(), expected);
            let body = within(answer.into_body().collect()).await;
            assert!(body.unwrap().to_bytes().is_empty());
        }
    }
}

/// The asterisk is that of OPTIONS in HTTP/2 too (RFC 9113 §8.3.1).
#[tokio::test]
async fn a_target_that_is_none_of_its_methods_goes_nowhere_in_http2() {
    let upstream = RawUpstream::bind().await;
    let gateway = Running::before(upstream.address()).await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let target = Uri::builder()
        .scheme("http")
        .authority("a")
        .path_and_query("*");
    let request = Request::get(target.build().unwrap()).body(Empty::<Bytes>::new());
    let answer = within(sender.send_request(request.unwrap())).await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(upstream.is_left_alone().await);
}

/// A cache between the layer that refuses and the caller keeps nothing of it back.
#[tokio::test]
async fn openais_callers_read_through_a_cache_what_a_layer_refuses() {
    let gateway = Running::from(
        "limits.per_key = { quota = '1/h', missing = 'share' }\n[[cache.routes]]\npath = '/'\n",
    )
    .await;
    asked(&gateway, "/v1/models", BEARER).await;
    for _ in 0..2 {
        let (head, body) = asked(&gateway, "/v1/models", BEARER).await;
        assert_eq!(head.first_line(), "HTTP/1.1 429 Too Many Requests");
        assert_eq!(head.one("content-type"), "application/json");
        assert_eq!(body["error"]["code"], "rate_limit_exceeded");
        assert!(
            body["error"]["message"]
                .as_str()
                .unwrap()
                .contains("Retry-After")
        );
    }
}
