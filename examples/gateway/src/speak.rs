//! How the gateway's own errors read: as the caller speaks.
//!
//! | caller | recognised by | reads |
//! |---|---|---|
//! | gRPC, gRPC-Web | a POST with its `Content-Type`, gRPC itself over HTTP/2 | a status, Trailers-Only, with `RetryInfo` and pushback |
//! | of `OpenAI`'s protocol | `Authorization: Bearer`, at or below a path of `errors.openai` | `{"error":{"message","type","param","code"}}`, and `Retry-After-Ms` |
//! | any other | | problem+json (RFC 9457) |
//!
//! What an upstream says is never rewritten.

use std::{
    future::Future as _,
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{body::Body, response::Response};
use buttress_http::{GrpcRefusal, Head, LocalRefusal, Protocol};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, Limited};
use serde::{Deserialize, Serialize};

use crate::{
    path::{Prefix, plain},
    refusal::{Refusal, is_our_own},
};

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// The layers' own explanations are shorter.
const LONGEST_PROBLEM: usize = 16_384;

/// Where callers speak `OpenAI`'s protocol.
#[derive(Clone, Debug)]
pub(crate) struct OpenAiPaths(pub(crate) Vec<Prefix>);

/// What a caller speaks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    speaks: Speaks,
    wants_no_body: bool,
}

#[derive(Clone, Debug)]
enum Speaks {
    Http,
    OpenAi,
    /// With the request's `Content-Type`, since gRPC-Web has several.
    Grpc(Option<HeaderValue>),
}

impl Caller {
    pub(crate) fn of(head: &Head, openai: &OpenAiPaths) -> Self {
        Self {
            speaks: match Protocol::of_request(head) {
                Protocol::Http if openai.covers(head) => Speaks::OpenAi,
                Protocol::Http => Speaks::Http,
                _ => Speaks::Grpc(head.headers().get(CONTENT_TYPE).cloned()),
            },
            wants_no_body: head.method() == Method::HEAD,
        }
    }

    /// The response, in the caller's own protocol if it is one of ours.
    pub(crate) fn hears(self, response: Response) -> Response {
        let refusal = response.extensions().get::<Refusal>().cloned();
        let mut response = match (self.speaks, refusal) {
            (Speaks::Grpc(form), Some(refusal)) => in_grpc(form, &refusal, response),
            (Speaks::OpenAi, Some(refusal)) => {
                let error = Error::of(refusal.status, &refusal.detail, Some(refusal.code));
                openai(response, &error)
            }
            (Speaks::OpenAi, None) if is_a_layers(&response) => translated(response),
            _ => response,
        };
        if self.wants_no_body && is_our_own(&response) {
            // The length stays, and hyper would send the body over HTTP/2.
            *response.body_mut() = Body::empty();
        }
        response
    }
}

impl OpenAiPaths {
    fn covers(&self, head: &Head) -> bool {
        if !has_bearer(head.headers()) {
            return false;
        }
        let path = plain(head.uri().path());
        self.0.iter().any(|prefix| prefix.covers(&path))
    }
}

fn has_bearer(headers: &HeaderMap) -> bool {
    headers
        .get(AUTHORIZATION)
        .and_then(|value| value.as_bytes().split_at_checked(7))
        .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
}

fn in_grpc(form: Option<HeaderValue>, refusal: &Refusal, response: Response) -> Response {
    let mut said = GrpcRefusal::new(refusal.grpc, refusal.detail.clone());
    if let Some(wait) = refusal.retry_after {
        said = said.retry_after(wait).pushback(true);
    }
    let request = form.map(|form| (CONTENT_TYPE, form)).into_iter().collect();
    let said = said.into_response(&request);
    let (mut parts, _) = response.into_parts();
    parts.status = said.status();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.extend(said.into_parts().0.headers);
    Response::from_parts(parts, Body::empty())
}

/// Whether a layer of ours said it, in problem+json.
fn is_a_layers(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    LocalRefusal::of(response).is_some()
        && kind.is_some_and(|kind| kind == "application/problem+json")
}

/// What a layer of ours said.
fn translated(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // It is here already: nobody is waited for, and no future of an answer has to have room for this.
    let body = pin!(Limited::new(body, LONGEST_PROBLEM).collect());
    let Poll::Ready(Ok(body)) = body.poll(&mut Context::from_waker(Waker::noop())) else {
        parts.headers.remove(CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    };
    let body = body.to_bytes();
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    let error = Error::of(parts.status, &problem.detail, None);
    let mut response = openai(Response::from_parts(parts, Body::empty()), &error);
    if body.is_empty() {
        // To a HEAD the layer says none, so how long ours would be is not known.
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response
}

#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    detail: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    error: &'a Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

impl<'a> Error<'a> {
    fn of(status: StatusCode, message: &'a str, code: Option<&'a str>) -> Self {
        let (r#type, usual) = match status {
            StatusCode::TOO_MANY_REQUESTS => ("requests", Some("rate_limit_exceeded")),
            StatusCode::FORBIDDEN => ("invalid_request_error", Some("forbidden")),
            status if status.is_client_error() => ("invalid_request_error", None),
            _ => ("server_error", None),
        };
        Self {
            message,
            r#type,
            param: None,
            code: code.or(usual),
        }
    }
}

fn openai(mut response: Response, error: &Error<'_>) -> Response {
    let wait = LocalRefusal::of(&response).and_then(|refusal| refusal.retry_after());
    // Text always becomes JSON.
    let body = serde_json::to_vec(&Answer { error }).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, body.len().into());
    if let Some(wait) = wait {
        let millis = wait.as_nanos().div_ceil(1_000_000);
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        headers.insert(RETRY_AFTER_MS, millis.max(1).into());
    }
    *response.body_mut() = Body::from(Bytes::from(body));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::channel::Channel;

    use super::*;

    #[test]
    fn a_body_that_is_not_here_has_no_length() {
        let (_sender, body) = Channel::<Bytes>::new(1);
        let mut response = Response::new(Body::new(body));
        let length = HeaderValue::from_static("17");
        response.headers_mut().insert(CONTENT_LENGTH, length);
        let mut response = translated(response);
        assert!(!response.headers().contains_key(CONTENT_LENGTH));
        assert!(http_body::Body::is_end_stream(response.body_mut()));
    }
}
