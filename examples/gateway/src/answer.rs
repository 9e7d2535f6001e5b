//! An upstream's answer, made ours to send.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, Version, header::CONTENT_LENGTH};
use intermediary::hop_by_hop;

use crate::{failure::Failure, via};

/// An answer that is none of a tunnel.
///
/// One that switches protocols is none here: nobody asked for it, and the client would wait for ever.
pub(crate) fn relay(answer: Response) -> Result<Response, Failure> {
    if answer.status().is_informational() {
        return Err(Failure::Unasked);
    }
    Ok(our_own(answer))
}

/// Takes the fields for one hop away, and adds `Via`.
pub(crate) fn our_own(mut answer: Response) -> Response {
    let received = answer.version();
    hop_by_hop::strip(answer.headers_mut());
    say_length_once(answer.headers_mut());
    via::append(answer.headers_mut(), received);
    // The version is the connection's affair, not the message's.
    *answer.version_mut() = Version::default();
    answer
}

/// Of a length that is said several times, in lines or in a list, one is said (RFC 9112 §6.3); none of several that differ, which
/// only an answer without a body can have come here with.
fn say_length_once(headers: &mut HeaderMap) {
    let lines = headers.get_all(CONTENT_LENGTH);
    let mut one_by_one = lines.iter();
    match (one_by_one.next(), one_by_one.next()) {
        (None, _) => return,
        (Some(line), None) if !line.as_bytes().contains(&b',') => return,
        _ => {}
    }
    let mut members = lines
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    let first = members.next().unwrap_or_default();
    let one = members.all(|member| member == first).then_some(first);
    match one.and_then(|length| HeaderValue::from_bytes(length).ok()) {
        Some(length) => drop(headers.insert(CONTENT_LENGTH, length)),
        None => drop(headers.remove(CONTENT_LENGTH)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_said_once_or_not_at_all() {
        for (lines, expected) in [
            (&[][..], &[][..]),
            (&["2"], &["2"]),
            (&["2", "2"], &["2"]),
            (&["2, 2 ,2"], &["2"]),
            (&["2", "3"], &[]),
            (&["2, 3"], &[]),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONTENT_LENGTH, HeaderValue::from_static(line));
            }
            say_length_once(&mut headers);
            let said: Vec<_> = headers.get_all(CONTENT_LENGTH).iter().collect();
            assert_eq!(said, expected, "{lines:?}");
        }
    }
}
