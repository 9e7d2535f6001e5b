use std::borrow::Cow;

/// The path that an upstream is likely to understand: percent-decoded once, `.` and `..` resolved, empty
/// segments left out, as nginx reads it to find a location. Without that `/v1//completions` would be no
/// `/v1/completions` here, and one there.
///
/// Borrowed, and so without an allocation, where nothing of this is in the path.
pub(super) fn plain(path: &str) -> Cow<'_, [u8]> {
    let bytes = path.as_bytes();
    let is_plain = !bytes.contains(&b'%')
        && !bytes
            .windows(2)
            .any(|pair| matches!(pair, [b'/', b'/' | b'.']));
    if is_plain {
        return Cow::Borrowed(bytes);
    }
    let decoded = decoded(bytes);
    let mut segments = Vec::new();
    for segment in decoded.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut plain = Vec::with_capacity(decoded.len());
    for segment in segments {
        plain.push(b'/');
        plain.extend_from_slice(segment);
    }
    Cow::Owned(plain)
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, after)) = rest.split_first() {
        let escaped = match after {
            [high, low, after @ ..] if first == b'%' => escaped(*high, *low).zip(Some(after)),
            _ => None,
        };
        let byte;
        (byte, rest) = escaped.unwrap_or((first, after));
        decoded.push(byte);
    }
    decoded
}

fn escaped(high: u8, low: u8) -> Option<u8> {
    let digit = |byte| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_upstreams_read_it() {
        for (path, expected) in [
            ("/v1/completions", "/v1/completions"),
            ("/v1/completions/", "/v1/completions/"),
            ("//v1///completions/", "/v1/completions"),
            ("/v1/%63ompletion%73", "/v1/completions"),
            ("/v1%2Fcompletions", "/v1/completions"),
            ("/v1/./completions/.", "/v1/completions"),
            ("/a/../v1/b/%2e%2E/completions", "/v1/completions"),
            ("/../../v1", "/v1"),
            ("/.well-known", "/.well-known"),
            ("/100%/%zz/%4", "/100%/%zz/%4"),
            ("/%2563", "/%63"),
            ("/", "/"),
            ("/.", ""),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(plain(path), expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn an_ordinary_path_is_not_copied() {
        assert!(matches!(
            plain("/v1/completions/7"),
            Cow::Borrowed(b"/v1/completions/7")
        ));
    }
}
