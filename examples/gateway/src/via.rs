use http::{HeaderMap, HeaderValue, Version, header::VIA};

/// Appends this gateway to `Via` (RFC 9110 §7.6.3), with the version that the message was received in.
pub(crate) fn append(headers: &mut HeaderMap, received: Version) {
    let entry = match received {
        Version::HTTP_10 => "1.0 buttress-gateway",
        Version::HTTP_2 => "2.0 buttress-gateway",
        _ => "1.1 buttress-gateway",
    };
    headers.append(VIA, HeaderValue::from_static(entry));
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
}
