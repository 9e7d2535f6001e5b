//! Paths, as upstreams understand them, and what is at or below one.

use std::borrow::Cow;

/// The first segments of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(Box<[u8]>);

impl Prefix {
    /// `None` where no path could be at or below `path`.
    pub(crate) fn of(path: &str) -> Option<Self> {
        if path == "/" {
            return Some(Self(Box::default()));
        }
        let is_possible = path.starts_with('/')
            && !path.ends_with('/')
            && !path
                .contains(|character: char| "?#%".contains(character) || character.is_control())
            && plain(path) == path.as_bytes();
        is_possible.then(|| Self(path.as_bytes().into()))
    }

    /// Whether a [plain] path is at or below it. Segments are whole.
    pub(crate) fn covers(&self, path: &[u8]) -> bool {
        let rest = path.strip_prefix(&*self.0);
        rest.is_some_and(|rest| self.0.is_empty() || matches!(rest, [] | [b'/', ..]))
    }

    /// Of several that cover a path, the longest is meant.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }
}

/// The path that an upstream is likely to understand: percent-decoded once, `.` and `..` resolved, empty
/// segments left out, as nginx reads it to find a location. Without that `/v1//completions` would be no
/// `/v1/completions` here, and one there.
///
/// Borrowed, and so without an allocation, where nothing of this is in the path.
pub(crate) fn plain(path: &str) -> Cow<'_, [u8]> {
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

/// Whether more `..` than segments stand somewhere in a path, so that it leads out of what it is put behind. Read as
/// [`plain`] reads it, and with the backslash that some take for a slash.
pub(crate) fn climbs(path: &str) -> bool {
    let bytes = path.as_bytes();
    if !bytes.contains(&b'%') && !bytes.windows(2).any(|pair| pair == b"..") {
        return false;
    }
    let mut depth = 0_usize;
    for segment in decoded(bytes).split(|byte| matches!(byte, b'/' | b'\\')) {
        match segment {
            b"" | b"." => {}
            b".." => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
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
    fn a_path_that_leads_out_climbs() {
        for path in [
            "/..",
            "/../a",
            "/a/../../b",
            "/%2e%2E/a",
            "/..%2fa",
            "/a/..\\..\\b",
            "//../a",
            "/./..",
        ] {
            assert!(climbs(path), "{path}");
        }
        for path in [
            "/",
            "/a/../b",
            "/a..",
            "/..a/b",
            "/a/b/../../c",
            "/%2e/a",
            "*",
            "",
        ] {
            assert!(!climbs(path), "{path}");
        }
    }

    #[test]
    fn an_ordinary_path_is_not_copied() {
        assert!(matches!(
            plain("/v1/completions/7"),
            Cow::Borrowed(b"/v1/completions/7")
        ));
    }

    #[test]
    fn a_path_that_none_is_below_is_no_prefix() {
        for path in [
            "",
            "v1",
            "/v1/",
            "//v1",
            "/v1/../v2",
            "/v1?a",
            "/%63",
            "/v\u{7f}",
        ] {
            assert!(Prefix::of(path).is_none(), "{path}");
        }
    }
}
