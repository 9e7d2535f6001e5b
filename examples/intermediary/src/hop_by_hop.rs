//! The fields that are for one hop only (RFC 9110 §7.6.1), and what of them crosses.
//!
//! `Trailer` stays, although RFC 2616 counted it among them: RFC 9110 no longer does, and over HTTP/1.1
//! hyper sends on only those trailers that it announces.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, FORWARDED, HOST, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
    },
};

/// Removed whether `Connection` names them or not.
///
/// `Proxy` is no field of HTTP: CGI programs take it for the environment's `HTTP_PROXY` ("httpoxy").
/// `Proxy-Status` is for the client, and stays.
static HOP_BY_HOP: [HeaderName; 11] = [
    CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    // The settings of an `Upgrade: h2c`, which is never forwarded.
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
];

static NEVER_IN_TRAILERS: [HeaderName; 8] = [
    AUTHORIZATION,
    CONTENT_LENGTH,
    COOKIE,
    FORWARDED,
    HOST,
    SET_COOKIE,
    TRAILER,
    VIA,
];

/// Removes what is for one hop; a `TE` that asks for trailers crosses, since trailers do.
///
/// A `Content-Length` beside `Transfer-Encoding` goes, too: the latter has been read, and the former is not true of what was
/// (RFC 9112 §6.3).
///
/// `Host` stays, though `Connection` should name it: whom a request is for is no matter of a connection, and what came without
/// would be for another.
pub fn strip(headers: &mut HeaderMap) {
    let wants_trailers =
        members(headers, &TE).any(|member| token(member).eq_ignore_ascii_case("trailers"));
    let named: Vec<HeaderName> = members(headers, &CONNECTION)
        .filter_map(|name| name.parse().ok())
        .filter(|name| *name != HOST)
        .collect();
    // Most of them are not there, and to look one up costs more than to pass by all that are.
    let known = headers.keys().filter(|name| HOP_BY_HOP.contains(name));
    let known: Vec<HeaderName> = known.cloned().collect();
    if known.contains(&TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    for name in named.iter().chain(&known) {
        headers.remove(name);
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        // RFC 9110 §10.1.4: whoever sends TE names it.
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// Removes from trailers what may not stand there (RFC 9110 §6.5.1): what is for one hop, what frames or routes a message, whose it
/// is, and what proxies write. They come when all of that is decided, and who joins them to the header takes them for it; in
/// HTTP/2 a message with a field of a connection's is malformed (RFC 9113 §8.2.2), be it a trailer.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    let unfit = trailers.keys().filter(|name| {
        HOP_BY_HOP.contains(name)
            || NEVER_IN_TRAILERS.contains(name)
            || is_named(trailers, name)
            || name.as_str().starts_with("x-forwarded-")
    });
    let unfit: Vec<HeaderName> = unfit.cloned().collect();
    for name in &unfit {
        trailers.remove(name);
    }
}

/// Whether `Connection` names a field, which [`strip`] takes away then unless it is `Host`.
pub fn is_named(headers: &HeaderMap, name: &HeaderName) -> bool {
    members(headers, &CONNECTION).any(|named| named.eq_ignore_ascii_case(name.as_str()))
}

/// The protocols that the message wants to switch to, if it does.
///
/// HTTP itself is left out, be it `h2c`, by its name and a version, or in TLS (RFC 2817), and with it a tunnel full of requests
/// that none of our limits would see ("h2c smuggling"). RFC 9113 has dropped that upgrade; such a request goes on as the
/// HTTP/1.1 that it is.
pub fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    members(headers, &CONNECTION)
        .any(|name| name.eq_ignore_ascii_case("upgrade"))
        .then(|| members(headers, &UPGRADE).filter(|protocol| !is_http(protocol)))?
        .map(str::to_owned)
        .reduce(|all, next| all + ", " + &next)
        .and_then(|protocols| protocols.try_into().ok())
}

fn is_http(protocol: &str) -> bool {
    let name = protocol.split('/').next().unwrap_or_default().trim();
    let names = ["h2c", "h2", "http", "tls"];
    names.iter().any(|http| name.eq_ignore_ascii_case(http))
}

/// Puts back what [`strip`] took, where the message switches protocols after all.
pub fn announce_upgrade(headers: &mut HeaderMap, protocols: HeaderValue) {
    headers.append(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocols);
}

/// The members of a list, over all of its lines. A line that is not text has none.
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|member| !member.is_empty())
}

/// A member without its parameters.
fn token(member: &str) -> &str {
    member.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for &(name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn stripped(lines: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = headers(lines);
        strip(&mut headers);
        let mut left: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        left.sort();
        left
    }

    fn wanted(lines: &[(&'static str, &'static str)]) -> Option<HeaderValue> {
        upgrade(&headers(lines))
    }

    #[test]
    fn what_is_for_one_hop_goes() {
        let left = stripped(&[
            ("connection", "close, X-Mine, Host"),
            ("connection", "x-other"),
            ("host", "a"),
            ("x-mine", "1"),
            ("x-other", "1"),
            ("x-stays", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("proxy", "http://evil"),
            ("proxy-status", "stays"),
            ("te", "gzip"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
        ]);
        assert_eq!(
            left,
            [
                "host: a",
                "proxy-status: stays",
                "trailer: x-sum",
                "x-stays: 1"
            ]
        );
    }

    #[test]
    fn of_two_lengths_neither_crosses() {
        let left = stripped(&[("content-length", "1"), ("transfer-encoding", "chunked")]);
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(stripped(&[("content-length", "1")]), ["content-length: 1"]);
    }

    #[test]
    fn trailers_frame_route_and_vouch_for_nothing() {
        let mut trailers = headers(&[
            ("connection", "close, x-mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("host", "a"),
            ("authorization", "Bearer x"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-port", "443"),
            ("forwarded", "for=192.0.2.1"),
            ("via", "1.1 a"),
            ("grpc-status", "0"),
            ("digest", "x"),
        ]);
        strip_trailers(&mut trailers);
        let mut left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["digest", "grpc-status"]);
    }

    #[test]
    fn what_will_go_is_known_before() {
        let named = headers(&[("connection", "close, X-Mine"), ("connection", "x-other")]);
        for (name, expected) in [("x-mine", true), ("x-other", true), ("x-min", false)] {
            let name = HeaderName::from_static(name);
            assert_eq!(is_named(&named, &name), expected, "{name}");
        }
    }

    #[test]
    fn a_wish_for_trailers_crosses() {
        let left = stripped(&[("te", "gzip;q=0.5, Trailers;q=1"), ("connection", "TE")]);
        assert_eq!(left, ["connection: te", "te: trailers"]);
    }

    #[test]
    fn an_upgrade_is_wanted_where_connection_says_so() {
        let socket = ("upgrade", "websocket");
        let both = wanted(&[("connection", "keep-alive, Upgrade"), socket]);
        assert_eq!(both.unwrap(), "websocket");
        assert_eq!(wanted(&[("connection", "keep-alive"), socket]), None);
        assert_eq!(wanted(&[("connection", "upgrade")]), None);
    }

    #[test]
    fn h2c_is_not_smuggled() {
        let hop = ("connection", "upgrade");
        assert_eq!(wanted(&[hop, ("upgrade", "h2c")]), None);
        let rest = wanted(&[hop, ("upgrade", "H2C, websocket")]);
        assert_eq!(rest.unwrap(), "websocket");
        // Nor is HTTP by its other names, or in TLS (RFC 2817).
        for protocols in ["h2", "HTTP/2.0", "http/1.1, HTTP/3", "TLS/1.0, HTTP/1.1"] {
            assert_eq!(wanted(&[hop, ("upgrade", protocols)]), None, "{protocols}");
        }
        let other = wanted(&[hop, ("upgrade", "tls-like/1, IRC/6.9")]);
        assert_eq!(other.unwrap(), "tls-like/1, IRC/6.9");
    }
}
