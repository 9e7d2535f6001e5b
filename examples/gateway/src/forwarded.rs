//! What the upstream is told about who asked for what, since it sees only this gateway's socket.
//!
//! - `X-Forwarded-For`: the peer is appended to what came, so whoever reads it from the right, as one must,
//!   meets first what this gateway saw with its own eyes.
//! - `X-Forwarded-Proto`, `X-Forwarded-Host`: set from the connection, unless the peer is a proxy that the
//!   configuration trusts and has said them already.
//! - `Forwarded` (RFC 7239): an element is appended where the field came with the request, so that its chain
//!   has no hole.
//!
//! `Host` is rewritten to the upstream's: most upstreams route by it, and `X-Forwarded-Host` tells the other.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{FORWARDED, HOST},
    request::Parts,
};

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The host that the client asked for: of the URI where it has one (HTTP/2, absolute form), else `Host`.
pub(crate) fn requested_host(request: &Parts) -> Option<HeaderValue> {
    match request.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => request.headers.get(HOST).cloned(),
    }
}

/// Tells that `peer` asked for `host`; `trusted` where what the peer itself said stands.
pub(crate) fn tell(
    headers: &mut HeaderMap,
    peer: IpAddr,
    host: Option<HeaderValue>,
    trusted: bool,
) {
    // An IPv4 client of a dual-stack socket is the IPv4 client that it is.
    let peer = peer.to_canonical();
    join(headers, &X_FORWARDED_FOR, &peer.to_string());
    if headers.contains_key(FORWARDED) {
        let node = match peer {
            IpAddr::V4(peer) => format!("for={peer};proto=http"),
            IpAddr::V6(peer) => format!("for=\"[{peer}]\";proto=http"),
        };
        join(headers, &FORWARDED, &node);
    }
    if !(trusted && headers.contains_key(X_FORWARDED_PROTO)) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if !(trusted && headers.contains_key(X_FORWARDED_HOST)) {
        headers.remove(X_FORWARDED_HOST);
        if let Some(host) = host {
            headers.insert(X_FORWARDED_HOST, host);
        }
    }
}

/// Takes away what [`tell`] will not believe, so that who chooses by it before chooses by what the upstream will be told.
pub(crate) fn disbelieve(headers: &mut HeaderMap) {
    headers.remove(X_FORWARDED_PROTO);
    headers.remove(X_FORWARDED_HOST);
}

/// Appends a member to a list, as one line: many readers of these fields look at the first line only.
fn join(headers: &mut HeaderMap, name: &HeaderName, member: &str) {
    let mut line = Vec::new();
    for value in headers.get_all(name) {
        line.extend_from_slice(value.as_bytes());
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(member.as_bytes());
    if let Ok(line) = HeaderValue::from_bytes(&line) {
        headers.insert(name, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[(&'static str, &'static str)], peer: &str, trusted: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for &(name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        let host = HeaderValue::from_static("asked.example");
        tell(&mut headers, peer.parse().unwrap(), Some(host), trusted);
        headers
    }

    #[test]
    fn the_peer_comes_last_in_one_line() {
        let headers = told(
            &[
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-for", "2.2.2.2"),
            ],
            "::ffff:192.0.2.1",
            false,
        );
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        assert_eq!(lines, ["1.1.1.1, 2.2.2.2, 192.0.2.1"]);
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "asked.example");
        assert!(!headers.contains_key("forwarded"));
    }

    #[test]
    fn only_a_trusted_peer_is_believed() {
        let lies = [("x-forwarded-proto", "https"), ("x-forwarded-host", "lie")];
        let headers = told(&lies, "192.0.2.1", false);
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "asked.example");

        let headers = told(&lies, "192.0.2.1", true);
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "lie");
    }

    #[test]
    fn the_chain_of_forwarded_has_no_hole() {
        let headers = told(&[("forwarded", "for=1.1.1.1")], "2001:db8::1", false);
        assert_eq!(
            headers["forwarded"],
            "for=1.1.1.1, for=\"[2001:db8::1]\";proto=http"
        );
    }
}
