use std::net::IpAddr;

use http::HeaderValue;

use super::TrustedProxies;

/// How many elements of a list are looked at, empty ones included.
pub(super) const MAX_ELEMENTS: usize = 64;

/// How many bytes of a list are looked at.
const MAX_BYTES: usize = 16 * 1024;

/// Goes from the `peer` towards the client, through `nodes` from right to left; a node is `None` where
/// it is no address.
pub(super) fn walk(
    trusted: &TrustedProxies,
    peer: IpAddr,
    mut nodes: impl Iterator<Item = Option<IpAddr>>,
) -> IpAddr {
    let mut vouched_for = peer;
    let mut distance = 0;
    while trusted.is_trusted(vouched_for, distance) {
        match nodes.next() {
            Some(Some(ip)) => vouched_for = ip,
            Some(None) => return vouched_for,
            None => return trusted.at_the_end(peer, vouched_for),
        }
        distance += 1;
    }
    vouched_for
}

/// One element of a list, seen from the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element<'a> {
    /// What stands between two commas.
    Text(&'a [u8]),
    /// The bound on what is looked at is reached, or the element has no beginning.
    Unreadable,
}

/// Finds where the last element of a non-empty line begins: just right of its comma. `None` where the
/// line holds no beginning of it.
pub(super) type Start = fn(&[u8]) -> Option<usize>;

/// The elements of a list's `lines` from right to left, without the empty ones, and within the bounds
/// on what is looked at. Nothing follows an unreadable one.
pub(super) fn elements<'a>(
    lines: impl DoubleEndedIterator<Item = &'a HeaderValue>,
    start: Start,
) -> impl Iterator<Item = Element<'a>> {
    let mut lines = lines.rev().map(HeaderValue::as_bytes);
    // What is left of the present line, where a comma says that there is something.
    let mut rest = None;
    let mut elements_left = MAX_ELEMENTS;
    let mut bytes_left = MAX_BYTES;
    let mut ended = false;
    std::iter::from_fn(move || {
        while !ended {
            let line = match rest.take() {
                Some(line) => line,
                None => lines.next()?,
            };
            let Some((before, element)) =
                split_last(line, start, bytes_left).filter(|_| elements_left > 0 && bytes_left > 0)
            else {
                ended = true;
                return Some(Element::Unreadable);
            };
            rest = before;
            elements_left -= 1;
            bytes_left = bytes_left.saturating_sub(element.len() + 1);
            let element = element.trim_ascii();
            if !element.is_empty() {
                return Some(Element::Text(element));
            }
        }
        None
    })
}

/// The last element of a line, and what stands before its comma, if it has one. `None` where it does
/// not begin within the last `window` bytes.
fn split_last(line: &[u8], start: Start, window: usize) -> Option<(Option<&[u8]>, &[u8])> {
    let edge = line.len().saturating_sub(window);
    let begin = match start(line.get(edge..)?)? {
        // The window's beginning is an element's only if it is the line's.
        0 if edge > 0 => return None,
        begin => edge + begin,
    };
    let before = match begin.checked_sub(1) {
        Some(comma) => Some(line.get(..comma)?),
        None => None,
    };
    Some((before, line.get(begin..)?))
}
