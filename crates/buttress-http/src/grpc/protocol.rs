use http::{HeaderMap, header::CONTENT_TYPE};

/// In which protocol a caller speaks, and so in which it understands a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// Plain HTTP: a status and a body.
    Http,

    /// gRPC over HTTP/2.
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
}
