use http::{HeaderMap, Method, Version, header::CONTENT_TYPE};

use crate::Head;

/// In which protocol a caller speaks, and so in which it understands a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Plain HTTP: a status and a body.
    Http,

    /// gRPC, over HTTP/2 or later.
    Grpc,

    /// gRPC-Web, in its binary or its text form.
    GrpcWeb,
}

impl Protocol {
    /// The protocol of a request, by its `Content-Type`: `application/grpc` or `application/grpc-web` and
    /// `application/grpc-web-text`, alone or with a suffix (`+proto`) or parameters (`;`).
    /// `application/grpcfoo` is plain HTTP.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        match headers.get(CONTENT_TYPE) {
            Some(value) => of_content_type(value.as_bytes()),
            None => Self::Http,
        }
    }
}

impl Protocol {
    /// The protocol of a whole request, for who answers it: beside its `Content-Type` a gRPC call is a POST,
    /// and one of gRPC itself comes over HTTP/2, or HTTP/3 (gRPC proposal G2). A header alone does not choose in which form a refusal is
    /// written, and so which status the access log shows.
    #[must_use]
    pub fn of_request(head: &Head) -> Self {
        if head.method() != Method::POST {
            return Self::Http;
        }
        match Self::of(head.headers()) {
            Self::Grpc if head.version() < Version::HTTP_2 => Self::Http,
            protocol => protocol,
        }
    }
}

fn of_content_type(content_type: &[u8]) -> Protocol {
    const GRPC: &[u8] = b"application/grpc";

    let Some(rest) = strip_prefix(content_type, GRPC) else {
        return Protocol::Http;
    };
    if ends(rest) {
        return Protocol::Grpc;
    }
    let mut web = [&b"-web"[..], b"-web-text"].into_iter();
    if web.any(|form| strip_prefix(rest, form).is_some_and(ends)) {
        Protocol::GrpcWeb
    } else {
        Protocol::Http
    }
}

/// Media types are compared without case (RFC 9110 §8.3.1).
fn strip_prefix<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Whether the name of the type ends where `rest` begins.
fn ends(rest: &[u8]) -> bool {
    matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_tells() {
        let cases = [
            ("application/grpc", Protocol::Grpc),
            ("application/grpc+proto", Protocol::Grpc),
            ("application/grpc;charset=utf-8", Protocol::Grpc),
            ("application/grpc ; a=b", Protocol::Grpc),
            ("Application/gRPC", Protocol::Grpc),
            ("application/grpc-web", Protocol::GrpcWeb),
            ("application/grpc-web+proto", Protocol::GrpcWeb),
            ("application/grpc-web-text", Protocol::GrpcWeb),
            ("application/grpc-web-text+proto", Protocol::GrpcWeb),
            ("application/grpc-web; a=b", Protocol::GrpcWeb),
            ("application/grpcfoo", Protocol::Http),
            ("application/grpc-webfoo", Protocol::Http),
            ("application/grpc-web-foo", Protocol::Http),
            ("application/grpc-", Protocol::Http),
            ("application/grp", Protocol::Http),
            (" application/grpc", Protocol::Http),
            ("text/plain; application/grpc", Protocol::Http),
            ("application/json", Protocol::Http),
            ("", Protocol::Http),
        ];
        for (content_type, protocol) in cases {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
            assert_eq!(Protocol::of(&headers), protocol, "{content_type}");
        }
        assert_eq!(Protocol::of(&HeaderMap::new()), Protocol::Http);
    }

    #[test]
    fn a_call_is_a_post_over_http_2_or_later() {
        let cases = [
            (
                Method::POST,
                Version::HTTP_2,
                "application/grpc",
                Protocol::Grpc,
            ),
            (
                Method::POST,
                Version::HTTP_3,
                "application/grpc",
                Protocol::Grpc,
            ),
            (
                Method::POST,
                Version::HTTP_11,
                "application/grpc",
                Protocol::Http,
            ),
            (
                Method::GET,
                Version::HTTP_2,
                "application/grpc",
                Protocol::Http,
            ),
            (
                Method::POST,
                Version::HTTP_11,
                "application/grpc-web",
                Protocol::GrpcWeb,
            ),
            (
                Method::GET,
                Version::HTTP_11,
                "application/grpc-web",
                Protocol::Http,
            ),
            (
                Method::POST,
                Version::HTTP_2,
                "application/json",
                Protocol::Http,
            ),
        ];
        for (method, version, content_type, protocol) in cases {
            let request = http::Request::builder()
                .method(method)
                .version(version)
                .header(CONTENT_TYPE, content_type)
                .body(())
                .unwrap();
            assert_eq!(
                Protocol::of_request((&request).into()),
                protocol,
                "{request:?}"
            );
        }
    }
}
