//! The primary key (RFC 9111 §2): the target's URI. The method is no part of it: HEAD is answered from what GET stored.

use http::{HeaderMap, HeaderValue, Uri, header::HOST};

use super::{
    list::{byte_table, trim},
    reference::resolve,
};

/// The URI that a request is for, as the key under which its responses are stored.
///
/// Path and query are compared byte by byte. Scheme and authority have no case, and the scheme's own port is the same as
/// none (RFC 9110 §4.2.3).
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    scheme: &'a str,
    authority: &'a str,
    path_and_query: &'a str,
}

impl<'a> Target<'a> {
    /// The target of a request with this URI (before any router took a prefix off it) and these fields. `scheme` is
    /// meant where the URI has none, as is usual for a server.
    ///
    /// `None` for what is not the target of a GET (`*`, CONNECT's), and where it is unclear whom the request is for:
    /// several Host fields, or one that is no host, or another than the URI's; user information.
    #[must_use]
    pub fn of(scheme: &'a str, uri: &'a Uri, headers: &'a HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(HOST).iter();
        let host = lines.next();
        match lines.next() {
            None => Self::told(scheme, uri, host),
            Some(_) => None,
        }
    }

    /// The same, of a request with this Host, the only one.
    pub(crate) fn told(
        scheme: &'a str,
        uri: &'a Uri,
        host: Option<&'a HeaderValue>,
    ) -> Option<Self> {
        let scheme = uri.scheme_str().unwrap_or(scheme);
        let authority = match (uri.authority(), host) {
            (Some(authority), None) => authority.as_str(),
            // Who answers may go by the Host although the URI names another, and would answer for that.
            (Some(authority), Some(host)) => {
                let (authority, host) = (authority.as_str(), host_of(host)?);
                let same = authority == host
                    || without_default_port(scheme, host)
                        .eq_ignore_ascii_case(without_default_port(scheme, authority));
                same.then_some(authority)?
            }
            (None, Some(host)) => host_of(host)?,
            // As in HTTP/1.0.
            (None, None) => "",
        };
        Self::new(scheme, authority, uri)
    }

    /// The target that an absolute URI names. `None` for one that is not absolute.
    #[must_use]
    pub fn of_uri(uri: &'a Uri) -> Option<Self> {
        Self::new(uri.scheme_str()?, uri.authority()?.as_str(), uri)
    }

    fn new(scheme: &'a str, authority: &'a str, uri: &'a Uri) -> Option<Self> {
        let path_and_query = uri.path_and_query()?.as_str();
        if authority.contains('@') || !path_and_query.starts_with('/') {
            return None;
        }
        Some(Self {
            scheme,
            authority: without_default_port(scheme, authority),
            path_and_query,
        })
    }

    /// Hands on the bytes that make the key: different for different targets, the same for the same.
    pub fn feed(&self, mut to: impl FnMut(&[u8])) {
        // Neither a scheme nor an authority contains a zero.
        feed_lower_case(self.scheme, &mut to);
        to(&[0]);
        feed_lower_case(self.authority, &mut to);
        to(&[0]);
        to(self.path_and_query.as_bytes());
    }

    /// The same without marks between the parts, for whoever tells themselves where each of them ends.
    #[inline]
    pub(crate) fn parts(&self, mut to: impl FnMut(&[u8])) {
        feed_lower_case(self.scheme, &mut to);
        feed_lower_case(self.authority, &mut to);
        to(self.path_and_query.as_bytes());
    }

    pub(super) fn scheme(&self) -> &'a str {
        self.scheme
    }

    pub(super) fn authority(&self) -> &'a str {
        self.authority
    }

    pub(super) fn path_and_query(&self) -> &'a str {
        self.path_and_query
    }

    /// Whether both have one origin.
    pub(super) fn has_origin_of(&self, other: &Target<'_>) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.authority.eq_ignore_ascii_case(other.authority)
    }

    /// Whether a Location or Content-Location names this target.
    pub(super) fn is_meant_by(&self, location: &HeaderValue) -> bool {
        let meant = location
            .to_str()
            .ok()
            .and_then(|location| resolve(self, location));
        meant
            .as_ref()
            .and_then(Target::of_uri)
            .is_some_and(|meant| {
                meant.has_origin_of(self) && meant.path_and_query == self.path_and_query
            })
    }
}

fn host_of(line: &HeaderValue) -> Option<&str> {
    let host = trim(line.as_bytes());
    let is_one = host.iter().all(|&byte| IN_A_HOST[usize::from(byte)]);
    is_one.then(|| std::str::from_utf8(host).ok()).flatten()
}

/// What a host and a port are made of: a table, since each request has some to be looked at.
static IN_A_HOST: [bool; 256] = byte_table(b"-._~!$&'()*+,;=:[]%");

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => ":",
    };
    authority
        .strip_suffix(port)
        .or_else(|| authority.strip_suffix(':'))
        .unwrap_or(authority)
}

/// In pieces whose boundaries do not depend on the case either.
fn feed_lower_case(text: &str, to: &mut impl FnMut(&[u8])) {
    let mut buffer = [0; 64];
    for chunk in text.as_bytes().chunks(buffer.len()) {
        if !chunk.iter().any(u8::is_ascii_uppercase) {
            to(chunk);
            continue;
        }
        for (lower, byte) in buffer.iter_mut().zip(chunk) {
            *lower = byte.to_ascii_lowercase();
        }
        to(buffer.get(..chunk.len()).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(target: Option<Target<'_>>) -> Option<String> {
        let mut bytes = Vec::new();
        target?.feed(|part| bytes.extend_from_slice(part));
        Some(String::from_utf8(bytes).unwrap().replace('\0', "|"))
    }

    fn of(uri: &str, hosts: &[&str]) -> Option<String> {
        let headers = hosts
            .iter()
            .map(|host| (HOST, HeaderValue::from_str(host).unwrap()))
            .collect();
        key(Target::of("https", &uri.parse().unwrap(), &headers))
    }

    #[test]
    fn scheme_authority_path_and_query() {
        assert_eq!(of("/a?b", &["h"]).unwrap(), "https|h|/a?b");
        assert_eq!(of("http://h:81/a?b", &["H:81"]).unwrap(), "http|h:81|/a?b");
        assert_eq!(of("http://h/", &["h:80"]).unwrap(), "http|h|/");
        assert_eq!(of("/", &[]).unwrap(), "https||/");
        assert_eq!(of("http://h", &[]).unwrap(), "http|h|/");
    }

    #[test]
    fn path_and_query_are_exact_and_the_rest_has_no_case() {
        for same in [
            "HTTPS://Example.COM/a",
            "https://example.com:443/a",
            "https://example.com:/a",
        ] {
            assert_eq!(
                key(Target::of_uri(&same.parse().unwrap())).unwrap(),
                "https|example.com|/a",
                "{same}"
            );
        }
        let long = "A".repeat(200);
        assert_eq!(
            of("/", &[&long]).unwrap(),
            format!("https|{}|/", "a".repeat(200))
        );
        let keys: std::collections::HashSet<_> = [
            "/a", "/A", "/a?", "/a?b", "/a?b&c", "/a?c&b", "/%61", "/a/", "//a",
        ]
        .map(|uri| of(uri, &["h"]).unwrap())
        .into();
        assert_eq!(keys.len(), 9);
    }

    #[test]
    fn where_the_target_is_unclear_there_is_none() {
        assert_eq!(of("*", &["h"]), None);
        assert_eq!(of("h:443", &["h"]), None);
        assert_eq!(of("/", &["a", "b"]), None);
        assert_eq!(of("/", &["a/b"]), None);
        assert_eq!(of("/", &["user@a"]), None);
        assert_eq!(of("http://user@a/", &[]), None);
        // Who answers may go by either.
        assert_eq!(of("http://a/", &["b"]), None);
        assert_eq!(of("http://a/", &["a", "a"]), None);
        assert_eq!(of("http://a/", &["a:81"]), None);
        assert_eq!(key(Target::of_uri(&"/a".parse().unwrap())), None);
    }
}
