use buttress_core::KeyWriter;

/// Schemes whose credentials differ from request to request, and the parameters that do not: they name the bearer.
const SIGNED: [(&[u8], &[&[u8]]); 4] = [
    (b"AWS4-HMAC-SHA256", &[b"Credential"]),
    (b"AWS4-ECDSA-P256-SHA256", &[b"Credential"]),
    // RFC 5849 §3.1.
    (b"OAuth", &[b"oauth_consumer_key", b"oauth_token"]),
    // RFC 7616 §3.4.
    (b"Digest", &[b"username", b"username*"]),
];

/// Writes whose credentials they are. Taken as they stand, those that sign a request would make a key for each.
pub(super) fn write(credentials: &[u8], key: &mut KeyWriter<'_>) {
    let named = |(parameters, names): (_, &'static [&'static [u8]])| {
        let values = names.iter().filter_map(move |name| value(parameters, name));
        let mut values = values.peekable();
        values.peek().is_some().then_some(values)
    };
    match signed(credentials).and_then(named) {
        Some(values) => values.for_each(|value| key.secret(value)),
        None => key.secret(credentials),
    }
}

/// The parameters, and the names of those that count.
fn signed(credentials: &[u8]) -> Option<(&[u8], &'static [&'static [u8]])> {
    let end = credentials.iter().position(|&byte| byte == b' ')?;
    let (scheme, parameters) = credentials.split_at(end);
    let mut schemes = SIGNED.iter();
    let (_, names) = schemes.find(|(signed, _)| scheme.eq_ignore_ascii_case(signed))?;
    Some((parameters, names))
}

/// The value of the first parameter of this name.
fn value<'a>(parameters: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let mut parameters = parameters.split(|&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    });
    parameters.find_map(|parameter| {
        let end = parameter.iter().position(|&byte| byte == b'=')?;
        let (told, value) = parameter.split_at(end);
        let is_it = told.trim_ascii().eq_ignore_ascii_case(name);
        is_it.then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use buttress_core::{Digest, DigestKey};

    use super::*;

    fn key(credentials: &str) -> Digest {
        let whose = |credentials: &str, key: &mut KeyWriter<'_>| {
            write(credentials.as_bytes(), key);
            Ok::<(), buttress_core::MissingKey>(())
        };
        let secret = DigestKey::from_words(1, 2);
        secret.digest_from(&whose, credentials).unwrap()
    }

    /// What two requests of one bearer say, and what a request of another does.
    #[test]
    fn a_signature_is_not_whose_it_is() {
        for (one, same, other) in [
            (
                "AWS4-HMAC-SHA256 Credential=AKID1/20261123/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=0a",
                "AWS4-HMAC-SHA256 Credential=AKID1/20261123/us-east-1/bedrock/aws4_request,SignedHeaders=host,Signature=0b",
                "AWS4-HMAC-SHA256 Credential=AKID2/20261123/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=0a",
            ),
            (
                r#"OAuth oauth_consumer_key="app", oauth_nonce="1", oauth_signature="a%3D", oauth_token="mine""#,
                r#"OAuth oauth_token="mine", oauth_nonce="2", oauth_signature="b%3D", oauth_consumer_key="app""#,
                r#"OAuth oauth_consumer_key="app", oauth_nonce="1", oauth_signature="a%3D", oauth_token="theirs""#,
            ),
            (
                r#"Digest username="me", realm="r", nonce="1", uri="/a?b=c", nc=00000001, response="0a""#,
                r#"digest username="me", realm="r", nonce="1", uri="/d", nc=00000002, response="0b""#,
                r#"Digest username="you", realm="r", nonce="1", uri="/a?b=c", nc=00000001, response="0a""#,
            ),
            // What is quoted is one value, whatever is in it.
            (
                r#"Digest uri="/a?b=\",username=x,", nonce="1", username="Doe, \"J, John", response="0a""#,
                r#"Digest uri="/a?b=,username=y", nonce="2", username="Doe, \"J, John", response="0b""#,
                r#"Digest uri="/a?b=\",username=x,", nonce="1", username="Doe, \"J, Jane", response="0a""#,
            ),
        ] {
            assert_eq!(key(one), key(same), "{one}");
            assert_ne!(key(one), key(other), "{one}");
        }
    }

    #[test]
    fn anything_else_counts_as_it_stands() {
        for (one, other) in [
            ("Bearer one", "Bearer two"),
            ("Bearer a=1,username=me", "Bearer a=2,username=me"),
            (
                "AWS4-HMAC-SHA256 Signature=0a",
                "AWS4-HMAC-SHA256 Signature=0b",
            ),
            ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
            (
                "OAuthless oauth_token=1, a=1",
                "OAuthless oauth_token=1, a=2",
            ),
            ("", " "),
        ] {
            assert_ne!(key(one), key(other), "{one}");
        }
    }
}
