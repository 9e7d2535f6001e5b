//! CORS preflights (Fetch standard, "CORS-preflight request"): a browser's question whether a page may ask.
//!
//! A browser sends it before the request itself, and never with credentials: whoever wants an API key of it, or counts it
//! against a quota of those who have none, is no API for browsers. So it passes, and the upstream answers, if that is what
//! the operator wants; but not past the limit by address, nor past that of all together.
//!
//! It is nothing that a client could not write by itself. What gets by with it is an `OPTIONS` without a body, which asks for
//! nothing to be done (RFC 9110 §9.2.1); and nothing that an upstream might take for another method, or make a tunnel of
//! (`Upgrade: h2c`), in which any request could follow. Nor does a request get by that has a preflight's fields here and would
//! come to the upstream without them (`Connection: Origin`): whoever answers preflights there would not know it for one.

use axum::extract::Request;
use buttress_http::Head;
use http::{
    HeaderMap, HeaderName, Method,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, UPGRADE},
};
use http_body::Body as _;
use intermediary::hop_by_hop;

/// Fields by which some frameworks read another method than the one that was sent, and that by which any server may be
/// asked for a tunnel.
const OTHERS: [HeaderName; 4] = [
    UPGRADE,
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
];

/// The mark of a request that passes as one. It travels with the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preflight;

/// Marks the request if it is one.
pub(crate) fn mark(request: &mut Request) {
    if request.method() == Method::OPTIONS
        && is_one(request.headers())
        && request.body().is_end_stream()
    {
        request.extensions_mut().insert(Preflight);
    }
}

/// Whether the request was marked.
pub(crate) fn is_marked(head: &Head) -> bool {
    // A look at the method spares all others the one into the extensions.
    head.method() == Method::OPTIONS && head.extensions().get::<Preflight>().is_some()
}

fn is_one(fields: &HeaderMap) -> bool {
    let hands_on_one = |name| {
        fields.get_all(&name).into_iter().count() == 1 && !hop_by_hop::is_named(fields, &name)
    };
    hands_on_one(ORIGIN)
        && hands_on_one(ACCESS_CONTROL_REQUEST_METHOD)
        && !OTHERS.iter().any(|name| fields.contains_key(name))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn is_marked_with(method: Method, fields: &[(&str, &str)], body: Body) -> bool {
        let mut request = http::Request::builder().method(method).uri("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body).unwrap();
        mark(&mut request);
        is_marked((&request).into())
    }

    const ORIGIN: (&str, &str) = ("origin", "https://app.example");
    const METHOD: (&str, &str) = ("access-control-request-method", "POST");

    #[test]
    fn a_browsers_question_is_one() {
        let asked = [("access-control-request-headers", "authorization")];
        for fields in [&[ORIGIN, METHOD][..], &[ORIGIN, METHOD, asked[0]]] {
            assert!(is_marked_with(Method::OPTIONS, fields, Body::empty()));
        }
    }

    #[test]
    fn what_could_be_anything_else_is_none() {
        for fields in [
            &[][..],
            &[ORIGIN],
            &[METHOD],
            &[ORIGIN, ORIGIN, METHOD],
            &[ORIGIN, METHOD, METHOD],
            &[ORIGIN, METHOD, ("x-http-method", "POST")],
            &[ORIGIN, METHOD, ("x-http-method-override", "POST")],
            &[ORIGIN, METHOD, ("x-method-override", "POST")],
            &[ORIGIN, METHOD, ("upgrade", "h2c")],
            &[ORIGIN, METHOD, ("connection", "close, Origin")],
            &[
                ORIGIN,
                METHOD,
                ("connection", "access-control-request-method"),
            ],
        ] {
            assert!(
                !is_marked_with(Method::OPTIONS, fields, Body::empty()),
                "{fields:?}"
            );
        }
        let fields = [ORIGIN, METHOD];
        assert!(!is_marked_with(
            Method::OPTIONS,
            &fields,
            Body::from("body")
        ));
        for method in [Method::POST, Method::GET, Method::HEAD] {
            assert!(!is_marked_with(method, &fields, Body::empty()));
        }
    }
}
