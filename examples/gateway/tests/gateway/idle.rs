//! Whoever stands still for too long. That a pause is none is tested with a paused clock, where the timers are.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Channel, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    raw::{RawUpstream, within},
    running::Running,
};

const GET: &str = "GET / HTTP/1.1\nHost: a\n\n";

async fn before(upstream: &RawUpstream, more: &str) -> Running {
    let url = format!("http://{}", upstream.address());
    Running::from(&format!(
        "circuit_breaker.minimum_calls = 1\n{more}\n[[upstreams]]\nurl = '{url}'\n"
    ))
    .await
}

#[tokio::test]
async fn a_client_that_leaves_its_request_unfinished_is_told() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "timeouts.client_idle = '50ms'").await;
    // Of a body with a length and of one without; one that may be sent again is no other.
    for request in [
        "POST / HTTP/1.1\nHost: a\nContent-Length: 4\n\nhi",
        "PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\nhi\n",
    ] {
        let (mut client, mut server) = gateway.ask(&upstream, request).await;
        let head = client.head().await;
        assert_eq!(head.first_line(), "HTTP/1.1 408 Request Timeout");
        assert_eq!(head.one("connection"), "close");
        assert!(client.rest().await.contains("did not come in time"));
        assert!(server.rest().await.contains("hi"));
    }
    assert!(upstream.is_left_alone().await, "nothing is sent again");
    let state = gateway.state().await;
    assert_eq!(state["upstreams"][0]["breaker"]["state"], "closed");
}

#[tokio::test]
async fn a_caller_of_grpc_is_told_in_grpc() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "timeouts.client_idle = '50ms'").await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let (_unfinished, body) = Channel::<Bytes>::new(1);
    let request = Request::post("http://a/pkg.Service/Method")
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    let answer = tokio::spawn(sender.send_request(request));
    let _server = upstream.accept().await;
    let answer = within(answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["grpc-status"], "4");
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_left() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "timeouts.client_idle = '50ms'").await;
    let (mut client, mut server) = gateway.ask(&upstream, GET).await;
    server.send("HTTP/1.1 200 OK\n\n").await;
    client.head().await;
    server.pour().await;
}

#[tokio::test]
async fn an_upstream_that_falls_silent_in_its_answer_is_left() {
    for more in ["timeouts.upstream_idle = '50ms'", ""] {
        let upstream = RawUpstream::bind().await;
        let idle = if more.is_empty() {
            "idle = '50ms'\n"
        } else {
            ""
        };
        let url = format!("http://{}", upstream.address());
        let gateway = Running::from(&format!("{more}\n[[upstreams]]\nurl = '{url}'\n{idle}")).await;
        let (mut client, mut server) = gateway.ask(&upstream, GET).await;
        server
            .send("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n2\nhi\n")
            .await;
        client.head().await;
        client.expect("2\nhi\n").await;
        // Without the chunk that ends it.
        client.expect_end().await;
        server.expect_end().await;
    }
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_is_said_is_cut() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "timeouts.upstream_idle = '50ms'").await;
    let (mut client, mut server) = gateway
        .ask(&upstream, "CONNECT a:1 HTTP/1.1\nHost: a:1\n\n")
        .await;
    server.send("HTTP/1.1 200 OK\n\nhi").await;
    client.head().await;
    client.expect("hi").await;
    client.expect_end().await;
    server.expect_end().await;
}

/// A client that opens no window for one stream may go on with the others.
#[tokio::test]
async fn a_stream_whose_answer_is_not_taken_is_left_and_no_other() {
    let upstream = RawUpstream::bind().await;
    let gateway = before(&upstream, "timeouts.client_idle = '50ms'").await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1_000)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut asked = |path: &str| {
        let request = Request::get(format!("http://a{path}"))
            .body(Empty::<Bytes>::new())
            .unwrap();
        tokio::spawn(sender.send_request(request))
    };
    let answer = asked("/not-taken");
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\n\n").await;
    let not_taken = within(answer).await.unwrap().unwrap();
    server.pour().await;

    let answer = asked("/taken");
    let mut server = upstream.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi")
        .await;
    let taken = within(answer).await.unwrap().unwrap();
    let body = within(taken.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes(), "hi");
    assert!(within(not_taken.into_body().collect()).await.is_err());
}

/// A stream of both directions in which nobody has anything to say at first.
#[tokio::test]
async fn a_path_may_have_its_callers_be_quiet() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // As most servers of gRPC do, it begins its answer with its first message, which is the caller's last.
    let echo = async |request: http::Request<axum::body::Body>| {
        let said = request.into_body().collect().await.unwrap().to_bytes();
        ([("content-type", "application/grpc")], said)
    };
    let routes = axum::Router::new().fallback(axum::routing::post(echo));
    let server = tokio::spawn(async { axum::serve(listener, routes).await });
    let gateway = Running::from(&format!(
        "timeouts = {{ client_idle = '50ms', routes = [{{ path = '/chat.Chat', client_idle = 'off' }}] }}\n\
         [[upstreams]]\nurl = '{url}'\nhttp2 = true\n"
    ))
    .await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut called = |path: &str| {
        let (say, body) = Channel::<Bytes>::new(1);
        let request = Request::post(format!("http://a{path}"))
            .header("content-type", "application/grpc")
            .body(body)
            .unwrap();
        (say, tokio::spawn(sender.send_request(request)))
    };
    let (mut say, quiet) = called("/chat.Chat/Talk");
    let (_unfinished, given_up) = called("/other.Service/Talk");
    // It was as quiet as the other one, and for longer.
    let given_up = within(given_up).await.unwrap().unwrap();
    assert_eq!(given_up.headers()["grpc-status"], "4");
    say.send_data(Bytes::from_static(b"at last")).await.unwrap();
    drop(say);
    let answer = within(quiet).await.unwrap().unwrap();
    assert!(!answer.headers().contains_key("grpc-status"));
    let body = within(answer.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes(), "at last");
    server.abort();
}
