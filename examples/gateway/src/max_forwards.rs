//! `Max-Forwards` (RFC 9110 §7.6.2): by how many a TRACE or an OPTIONS may be handed on. Whoever is the last answers it,
//! so that a client sees where on the way a request stops.

use axum::{body::Body, response::Response};
use http::{
    HeaderValue, Method,
    header::{CACHE_CONTROL, CONTENT_TYPE, HOST, MAX_FORWARDS, VIA},
    request::Parts,
};

use crate::call::{Call, Decision};

/// Counts this gateway. True where the request is to go no further.
pub(crate) fn ends_here(request: &mut Parts) -> bool {
    if !matches!(request.method, Method::TRACE | Method::OPTIONS) {
        return false;
    }
    let Some(left) = request.headers.get(MAX_FORWARDS).and_then(number) else {
        return false;
    };
    match left.checked_sub(1) {
        None => true,
        Some(left) => {
            request.headers.insert(MAX_FORWARDS, left.into());
            false
        }
    }
}

/// The answer of whoever is the last. TRACE's is the request as it came (RFC 9110 §9.3.8), of whose fields only those that
/// tell of the way: any other may be somebody's secret.
pub(crate) fn answer(request: &Parts) -> Response {
    Call::note(|| Decision::of("max_forwards", "reached"));
    if request.method != Method::TRACE {
        return Response::default();
    }
    let mut message = format!("TRACE {} {:?}\r\n", request.uri, request.version).into_bytes();
    for name in [HOST, VIA, MAX_FORWARDS] {
        for value in request.headers.get_all(&name) {
            message.extend_from_slice(name.as_str().as_bytes());
            message.extend_from_slice(b": ");
            message.extend_from_slice(value.as_bytes());
            message.extend_from_slice(b"\r\n");
        }
    }
    message.extend_from_slice(b"\r\n");
    let mut response = Response::new(Body::from(message));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("message/http"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Digits; as many as there are, since none of the numbers that are too large is a small one.
fn number(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(number.saturating_mul(10).saturating_add(digit.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(method: Method, value: &'static str) -> (bool, String) {
        let request = http::Request::builder()
            .method(method)
            .header(MAX_FORWARDS, value)
            .body(())
            .unwrap();
        let (mut parts, ()) = request.into_parts();
        let ends = ends_here(&mut parts);
        (
            ends,
            parts.headers[MAX_FORWARDS].to_str().unwrap().to_owned(),
        )
    }

    #[test]
    fn each_gateway_counts_once() {
        for method in [Method::TRACE, Method::OPTIONS] {
            assert_eq!(left(method.clone(), "0"), (true, "0".to_owned()));
            assert_eq!(left(method.clone(), "00"), (true, "00".to_owned()));
            assert_eq!(left(method.clone(), "1"), (false, "0".to_owned()));
            assert_eq!(left(method.clone(), "10"), (false, "9".to_owned()));
            let (ends, _) = left(method.clone(), "99999999999999999999999");
            assert!(!ends);
            for other in ["", "-1", "+1", "1, 2", "x"] {
                assert_eq!(left(method.clone(), other), (false, other.to_owned()));
            }
        }
        assert_eq!(left(Method::GET, "0"), (false, "0".to_owned()));
    }
}
