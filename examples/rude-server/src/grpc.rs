//! gRPC's ways to refuse, and its way to serve.

use std::time::Duration;

use buttress_http::{GrpcCode, GrpcRefusal};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::answer::Response;

/// The refusal of this name, if there is one.
pub(crate) fn refuse(
    name: &str,
    wait: Duration,
    request: &HeaderMap,
    body: Bytes,
) -> Option<Response> {
    let refusal = match name {
        "grpc" => GrpcRefusal::resource_exhausted("too many calls").retry_after(wait),
        "grpc-pushback" | "grpc-no" | "grpc-trailers" => {
            let code = match name {
                "grpc-trailers" => GrpcCode::ResourceExhausted,
                _ => GrpcCode::Unavailable,
            };
            GrpcRefusal::new(code, "not now")
                .retry_after(wait)
                .pushback(true)
        }
        "grpc-silent" => GrpcRefusal::resource_exhausted("too many calls"),
        _ => return None,
    };
    let (parts, ()) = refusal.into_response(request).into_parts();
    let mut refusal = Response::new(parts.status, Bytes::new());
    refusal.headers = parts.headers;
    if name == "grpc-no" {
        let never = HeaderValue::from_static("-1");
        refusal.headers.insert("grpc-retry-pushback-ms", never);
    }
    if name != "grpc-trailers" {
        return Some(refusal);
    }
    // A good beginning, and a bad end.
    let mut served = serve(body);
    refusal.headers.remove(http::header::CONTENT_TYPE);
    served.trailers = Some(refusal.headers);
    Some(served)
}

/// The message comes back, and all is well.
pub(crate) fn serve(message: Bytes) -> Response {
    let mut response =
        Response::new(StatusCode::OK, message).header("content-type", "application/grpc");
    let ok = HeaderValue::from_static("0");
    response.trailers = Some(HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        ok,
    )]));
    response
}
