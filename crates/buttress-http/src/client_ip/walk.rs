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
/// on what is looked at.
pub(super) fn elements<'a>(
    lines: impl DoubleEndedIterator<Item = &'a HeaderValue>,
    start: Start,
) -> impl Iterator<Item = Element<'a>> {
    let mut lines = lines.rev().map(HeaderValue::as_bytes);
    // What is left of the present line, and whether a comma ended it.
    let mut rest: Option<&[u8]> = None;
    let (mut elements, mut bytes) = (0, 0);
    std::iter::from_fn(move || {
        loop {
            let line = match rest {
                Some(line) => line,
                None => lines.next()?,
            };
            elements += 1;
            let left = MAX_BYTES.saturating_sub(bytes);
            if elements > MAX_ELEMENTS || left == 0 {
                return Some(Element::Unreadable);
            }
            let window_start = line.len().saturating_sub(left);
            let window = line.get(window_start..).unwrap_or_default();
            // Reaching the window's edge is reaching the line's beginning only if they are the same.
            let begin = match start(window) {
                Some(0) if window_start > 0 => None,
                begin => begin,
            };
            let Some(begin) = begin else {
                bytes = MAX_BYTES;
                return Some(Element::Unreadable);
            };
            let element = window.get(begin..).unwrap_or_default();
            bytes = bytes.saturating_add(element.len()).saturating_add(1);
            rest = begin
                .checked_sub(1)
                .and_then(|comma| line.get(..window_start + comma));
            let element = element.trim_ascii();
            if !element.is_empty() {
                return Some(Element::Text(element));
            }
        }
    })
}
