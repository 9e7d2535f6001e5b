//! Answers that are made here.

use std::time::Duration;

use buttress_http::{
    GrpcCode, GrpcRefusal, Head, LocalRefusal, Problem, Protocol, retry_after_value,
};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};

/// The last attempt was not answered in time: 504, or `DEADLINE_EXCEEDED`.
pub(super) fn timed_out(head: &Head, protocol: Protocol) -> Response<Bytes> {
    match protocol {
        Protocol::Http => {
            let detail = "The service behind did not answer in time.";
            let problem = Problem::new(StatusCode::GATEWAY_TIMEOUT).detail(detail);
            http(head, StatusCode::GATEWAY_TIMEOUT, problem)
        }
        _ => {
            let refusal = GrpcRefusal::new(GrpcCode::DeadlineExceeded, "no answer in time");
            grpc(head, refusal)
        }
    }
}

/// The upstream asked not to be called for so long: 429, or `RESOURCE_EXHAUSTED`, with the time, and marked as a refusal
/// of this side.
pub(super) fn parked(head: &Head, protocol: Protocol, wait: Duration) -> Response<Bytes> {
    let mut response = match protocol {
        Protocol::Http => {
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS).detail(
                "The service behind asked not to be called for now. Try again after the time in Retry-After.",
            );
            http(head, StatusCode::TOO_MANY_REQUESTS, problem)
        }
        _ => {
            let refusal = GrpcRefusal::resource_exhausted("the upstream asked not to be called");
            grpc(head, refusal.retry_after(wait))
        }
    };
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, retry_after_value(wait));
    LocalRefusal::new(Some(wait)).mark(&mut response);
    response
}

fn http(head: &Head, status: StatusCode, problem: Problem) -> Response<Bytes> {
    let body = problem.to_bytes();
    let mut response = Response::new(body.clone());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let problem = HeaderValue::from_static("application/problem+json");
    headers.insert(CONTENT_TYPE, problem);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if head.method() == Method::HEAD {
        // The length that the body would have, and no body.
        headers.insert(CONTENT_LENGTH, body.len().into());
        *response.body_mut() = Bytes::new();
    }
    response
}

fn grpc(head: &Head, refusal: GrpcRefusal) -> Response<Bytes> {
    refusal.into_response(head.headers()).map(|()| Bytes::new())
}
