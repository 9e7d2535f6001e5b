use std::time::Duration;

use buttress_http::{GrpcCode, Pushback, RetryInfo, grpc_status};
use bytes::Bytes;
use http::Request;
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;

use crate::client::{Client, Version, read, server};

const MESSAGE: &[u8] = b"\0\0\0\0\x02hi";

fn call(uri: String, manner: &str) -> Request<Full<Bytes>> {
    Request::post(uri)
        .header("content-type", "application/grpc")
        .header("rude", manner)
        .body(Full::from(MESSAGE))
        .unwrap()
}

async fn ask(manner: &str) -> (http::Response<Incoming>, http::Response<Incoming>) {
    let server = server().await;
    let client = Client::new(Version::Http2);
    let ask = || client.send(call(server.uri("/greet.Greeter/Hello"), manner));
    (ask().await.unwrap(), ask().await.unwrap())
}

#[tokio::test]
async fn trailers_only_refusals_have_their_status_in_the_headers_and_no_body() {
    let wait = Duration::from_millis(250);
    for (manner, code, pushback, info) in [
        ("grpc", GrpcCode::ResourceExhausted, None, Some(wait)),
        (
            "grpc-pushback",
            GrpcCode::Unavailable,
            Some(Pushback::After(wait)),
            Some(wait),
        ),
        (
            "grpc-no",
            GrpcCode::Unavailable,
            Some(Pushback::Never),
            Some(wait),
        ),
        ("grpc-silent", GrpcCode::ResourceExhausted, None, None),
    ] {
        let (refused, served) = ask(&format!("{manner}?wait=250ms")).await;
        assert_eq!(refused.status(), 200);
        assert!(refused.body().is_end_stream(), "{manner}");
        assert_eq!(grpc_status(refused.headers()), Some(code), "{manner}");
        assert_eq!(
            Pushback::from_headers(refused.headers()),
            pushback,
            "{manner}"
        );
        let told = RetryInfo::from_headers(refused.headers()).map(RetryInfo::retry_delay);
        assert_eq!(told, info, "{manner}");

        assert_eq!(grpc_status(served.headers()), None, "{manner}");
        let (body, trailers) = read(served).await.unwrap();
        assert_eq!(body, MESSAGE);
        assert_eq!(
            grpc_status(&trailers.unwrap()),
            Some(GrpcCode::Ok),
            "{manner}"
        );
    }
}

#[tokio::test]
async fn a_bad_end_is_in_the_trailers() {
    let (refused, _) = ask("grpc-trailers?wait=250ms").await;
    assert_eq!(grpc_status(refused.headers()), None);
    let (body, trailers) = read(refused).await.unwrap();
    assert_eq!(body, MESSAGE);
    let trailers = trailers.unwrap();
    assert_eq!(grpc_status(&trailers), Some(GrpcCode::ResourceExhausted));
    assert_eq!(
        Pushback::from_headers(&trailers),
        Some(Pushback::After(Duration::from_millis(250)))
    );
}
