//! Cookies, which HTTP/2 may bring in a line each.

use http::{HeaderMap, HeaderValue, header::COOKIE};

/// Makes one line of them: whoever is not of HTTP/2 reads the first only (RFC 9113 §8.2.3).
pub(crate) fn join(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else {
        return;
    };
    let mut all = first.as_bytes().to_vec();
    for line in std::iter::once(second).chain(lines) {
        all.extend_from_slice(b"; ");
        all.extend_from_slice(line.as_bytes());
    }
    if let Ok(all) = HeaderValue::from_bytes(&all) {
        headers.insert(COOKIE, all);
    }
}
