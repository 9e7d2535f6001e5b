//! Whether a request is one that may go on, before anybody looks at whose it is: what it says of its host, its target and its body is
//! to be read in one way only, here and further in.

use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
    response::Response,
};
use http::{
    Method, Uri,
    header::TRANSFER_ENCODING,
    uri::{Authority, PathAndQuery},
};

use crate::{
    call::{Call, Decision},
    failure::Failure,
    host,
};

/// What is wrong with the request, if something is.
pub(crate) fn failure(request: &Request) -> Option<Failure> {
    if !host::is_said(request) {
        Some(Failure::BadHost)
    } else if !is_of(request.method(), request.uri()) {
        Some(Failure::BadTarget)
    } else if !is_coded_as_known(request) {
        Some(Failure::UnknownCoding)
    } else {
        None
    }
}

/// The answer to a request that may not go on.
pub(crate) fn refuse(failure: Failure) -> Response<Body> {
    Call::note(|| match failure {
        Failure::BadHost => Decision::of("host", "refused"),
        _ => Decision::of("request", "refused"),
    });
    failure.into_response()
}

/// Whether the target has a form that the method may have (RFC 9112 §3.2): a name without a path is CONNECT's, and has a
/// port (RFC 9110 §9.3.6); the asterisk is that of OPTIONS. Nobody's name stands before a host (RFC 9110 §4.2.4).
fn is_of(method: &Method, target: &Uri) -> bool {
    let is_connect = *method == Method::CONNECT;
    let is_paths = |path: &str| !is_connect && (path != "*" || *method == Method::OPTIONS);
    match (
        target.authority(),
        target.path_and_query().map(PathAndQuery::as_str),
    ) {
        (None, path) => path.is_some_and(is_paths),
        (Some(authority), None) => {
            is_connect && is_nobodys(authority) && authority.port_u16().is_some_and(|port| port > 0)
        }
        // In HTTP/2 the asterisk has one, too.
        (Some(authority), Some(path)) => is_paths(path) && is_nobodys(authority),
    }
}

fn is_nobodys(authority: &Authority) -> bool {
    !authority.as_str().contains('@')
}

/// Whether the body is chunked and nothing else, if it is coded (RFC 9112 §6.1): hyper takes off the last coding, of which only
/// that it is `chunked` is told further in, so that what is compressed beneath it would be taken for the content.
fn is_coded_as_known(request: &Request) -> bool {
    // Those that have no body, or one of a length, are not.
    if request.body().is_end_stream() || request.body().size_hint().exact().is_some() {
        return true;
    }
    let mut lines = request.headers().get_all(TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        // As in HTTP/2.
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_a_target_has_its_methods() {
        for (method, target, expected) in [
            ("GET", "/", true),
            ("GET", "http://h/", true),
            ("OPTIONS", "*", true),
            ("OPTIONS", "http://h", true),
            ("CONNECT", "h:1", true),
            ("CONNECT", "[::1]:443", true),
            ("GET", "*", false),
            ("GET", "h", false),
            ("GET", "h:80", false),
            ("GET", "http://user@h/", false),
            ("CONNECT", "/", false),
            ("CONNECT", "*", false),
            ("CONNECT", "http://h:1/", false),
            ("CONNECT", "h", false),
            ("CONNECT", "h:", false),
            ("CONNECT", "h:0", false),
            ("CONNECT", "h:65536", false),
            ("CONNECT", "user@h:1", false),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let target: Uri = target.parse().unwrap();
            assert_eq!(is_of(&method, &target), expected, "{method} {target}");
        }
    }
}
