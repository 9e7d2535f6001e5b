use http::{HeaderMap, HeaderValue, Version, header::VIA};

/// How often a request may come through a gateway of this name: they may stand behind each other, as one for a region and one
/// for a machine, but not so many of them.
const MOST: usize = 8;

/// Appends this gateway to `Via` (RFC 9110 §7.6.3), with the version that the message was received in.
pub(crate) fn append(headers: &mut HeaderMap, received: Version) {
    let entry = match received {
        Version::HTTP_10 => "1.0 buttress-gateway",
        Version::HTTP_2 => "2.0 buttress-gateway",
        _ => "1.1 buttress-gateway",
    };
    headers.append(VIA, HeaderValue::from_static(entry));
}

/// Whether the request goes in a circle, as it does where an upstream's address leads back here (RFC 9110 §7.6: nobody is to
/// forward to themselves without an end).
pub(crate) fn goes_round(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(VIA).into_iter();
    let entries = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    entries.filter(|entry| is_ours(entry)).count() >= MOST
}

fn is_ours(entry: &[u8]) -> bool {
    let mut words = entry
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    words.nth(1) == Some(b"buttress-gateway")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_after_those_before() {
        let mut headers = HeaderMap::new();
        headers.append(VIA, HeaderValue::from_static("1.0 fred"));
        append(&mut headers, Version::HTTP_2);
        let entries: Vec<_> = headers.get_all(VIA).iter().collect();
        assert_eq!(entries, ["1.0 fred", "2.0 buttress-gateway"]);
    }

    #[test]
    fn a_circle_is_seen_however_its_entries_are_written() {
        let mut headers = HeaderMap::new();
        let line = "1.1 other, 1.1 buttress-gateway,2.0\tbuttress-gateway (a comment)";
        for _ in 0..3 {
            headers.append(VIA, HeaderValue::from_static(line));
        }
        append(&mut headers, Version::HTTP_11);
        assert!(!goes_round(&headers), "seven of them");
        append(&mut headers, Version::HTTP_11);
        assert!(goes_round(&headers));
    }
}
