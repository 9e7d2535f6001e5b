//! gRPC, from end to end over HTTP/2.

use axum::{Router, body::Body, response::IntoResponse, routing::post};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Channel, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    raw::{RawUpstream, within},
    running::{Running, config_file},
};

/// Calls a method, as a gRPC client would.
pub(crate) async fn call(gateway: &Running, path: &str, content_type: &str) -> Response<Incoming> {
    call_with(gateway, path, content_type, &[]).await
}

async fn call_with(
    gateway: &Running,
    path: &str,
    content_type: &str,
    fields: &[(&str, &str)],
) -> Response<Incoming> {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(format!("http://a{path}"))
        .header("content-type", content_type)
        .header("te", "trailers");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::from_static(b"\0\0\0\0\0"));
    let request = request.body(body).unwrap();
    within(sender.send_request(request)).await.unwrap()
}

/// Answers with one message, and the status of the path in trailers.
async fn method(request: Request<Body>) -> impl IntoResponse {
    let status = request.uri().path().trim_start_matches('/').to_owned();
    assert_eq!(request.headers()["te"], "trailers");
    let (mut sender, body) = Channel::<Bytes>::new(2);
    let message = Bytes::from_static(b"\0\0\0\0\0");
    sender.send_data(message).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_str(&status).unwrap());
    sender.send_trailers(trailers).await.unwrap();
    ([("content-type", "application/grpc")], Body::new(body))
}

#[tokio::test]
async fn a_status_in_trailers_reaches_the_caller_and_the_circuit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/{status}", post(method));
    let server = tokio::spawn(async { axum::serve(listener, routes).await });
    let gateway = Running::from(&format!(
        "circuit_breaker = {{ minimum_calls = 3, open_for = '1h', max_open_for = '1h' }}\n\
         [[upstreams]]\nname = 'main'\nurl = '{url}'\nhttp2 = true\n"
    ))
    .await;
    // UNAVAILABLE twice: most of three.
    for status in ["0", "14", "14"] {
        let response = call(&gateway, &format!("/{status}"), "application/grpc").await;
        assert_eq!(response.headers()["content-type"], "application/grpc");
        let body = within(response.into_body().collect()).await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], status);
        assert_eq!(body.to_bytes().len(), 5);
    }
    let response = call(&gateway, "/0", "application/grpc").await;
    assert_eq!(response.status(), 200);
    let headers = response.headers();
    assert_eq!(headers["grpc-status"], "14");
    assert!(
        headers.contains_key("grpc-status-details-bin"),
        "{headers:?}"
    );
    let pushback: u64 = headers["grpc-retry-pushback-ms"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1_700_000..=3_600_000).contains(&pushback), "{pushback}");
    server.abort();
}

/// Says how long it was told that there is.
async fn patience(request: Request<Body>) -> impl IntoResponse {
    let told = request.headers().get("grpc-timeout").cloned();
    let mut fields = HeaderMap::new();
    fields.insert("content-type", HeaderValue::from_static("application/grpc"));
    fields.insert("grpc-status", HeaderValue::from_static("0"));
    fields.extend(told.map(|told| (HeaderName::from_static("told"), told)));
    fields
}

/// The time that an upstream took which never made a connection is gone for the next one, too.
#[tokio::test]
async fn each_attempt_is_told_how_much_time_is_left() {
    // Of TLS it says nothing.
    let silent = RawUpstream::bind().await;
    let ca = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca = config_file("silent.pem", &ca.cert.pem());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/{method}", post(patience));
    let server = tokio::spawn(async { axum::serve(listener, routes).await });
    let gateway = Running::from(&format!(
        "timeouts.connect = '200ms'\n\
         [[upstreams]]\nname = 'silent'\nurl = 'https://{}'\nhttp2 = true\nca = '{}'\n\
         [[upstreams]]\nname = 'main'\nurl = '{url}'\nhttp2 = true\n",
        silent.address(),
        ca.display()
    ))
    .await;
    let fields = [("grpc-timeout", "10S")];
    let response = call_with(&gateway, "/x", "application/grpc", &fields).await;
    assert_eq!(response.headers()["grpc-status"], "0");
    let told = response.headers()["told"].to_str().unwrap();
    let micros: u64 = told.strip_suffix('u').unwrap().parse().unwrap();
    assert!((1..=9_800_000).contains(&micros), "{told}");
    server.abort();
}
