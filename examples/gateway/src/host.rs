//! Whether a request says whose it is: one host, and one that can be (RFC 9112 §3.2).
//!
//! A request of HTTP/1.1 without `Host`, with two of them or with none that could be, MUST be refused: of two, one is
//! read here and perhaps the other further in.

use axum::extract::Request;
use http::{HeaderValue, Version, header::HOST, uri::Authority};

/// Whether the request may go on.
pub(crate) fn is_said(request: &Request) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        // HTTP/1.0 need not say it, and HTTP/2 says it in `:authority`.
        (None, _) => request.version() != Version::HTTP_11,
        (Some(host), None) => could_be(host),
        (Some(_), Some(_)) => false,
    }
}

/// Empty is what a request for a URI without a host has to say.
fn could_be(host: &HeaderValue) -> bool {
    let host = host.as_bytes();
    is_usual(host) || Authority::try_from(host).is_ok_and(|it| !it.as_str().contains('@'))
}

/// Whether it is empty, or a name or an IPv4 address, perhaps with a port, as nearly all are: these need not be parsed.
fn is_usual(host: &[u8]) -> bool {
    let is_name = |name: &[u8]| {
        let mut bytes = name.iter();
        bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    };
    let mut parts = host.splitn(2, |byte| *byte == b':');
    match (parts.next().unwrap_or_default(), parts.next()) {
        (name, None) => is_name(name),
        (name, Some(port)) => {
            let is_port = (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
            !name.is_empty() && is_name(name) && is_port
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn with(version: Version, hosts: &[&'static str]) -> bool {
        let mut request = Request::new(Body::empty());
        *request.version_mut() = version;
        for host in hosts {
            request
                .headers_mut()
                .append(HOST, HeaderValue::from_static(host));
        }
        is_said(&request)
    }

    #[test]
    fn http_1_1_says_one_host() {
        for host in [
            "a.example",
            "my_service:8080",
            "[::1]:80",
            "192.0.2.1",
            "a:",
            "A-b",
            "",
        ] {
            assert!(with(Version::HTTP_11, &[host]), "{host:?}");
        }
        for host in ["a b", "a/b", "a.example, b.example", "a@b", "a:b:c"] {
            assert!(!with(Version::HTTP_11, &[host]), "{host:?}");
        }
        assert!(!with(Version::HTTP_11, &[]));
        assert!(!with(Version::HTTP_11, &["a", "a"]));
    }

    #[test]
    fn what_is_usual_could_be() {
        for host in ["a.example", "A-b:8080", "192.0.2.1:65535", "-", "."] {
            assert!(is_usual(host.as_bytes()), "{host:?}");
            assert!(Authority::try_from(host).is_ok(), "{host:?}");
        }
        for host in [
            "a:", ":80", "a:b", "a:123456", "a:1:2", "[::1]", "a_b", "a@b", "a/b", "a%2f",
        ] {
            assert!(!is_usual(host.as_bytes()), "{host:?}");
        }
    }

    #[test]
    fn other_versions_may_leave_it_out() {
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert!(with(version, &[]));
            assert!(!with(version, &["a", "b"]));
        }
    }
}
