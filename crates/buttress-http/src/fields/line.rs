use std::iter;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::Entry};

/// Inserts `own`, and behind it, in the same line, those of the values that stand there which are `alike`. By itself it is
/// made a `value`.
pub(super) fn insert_before(
    headers: &mut HeaderMap,
    name: HeaderName,
    own: &[u8],
    value: impl FnOnce() -> Option<HeaderValue>,
    alike: impl Fn(&[u8]) -> bool,
) {
    match headers.entry(name) {
        Entry::Vacant(field) => {
            if let Some(value) = value() {
                field.insert(value);
            }
        }
        Entry::Occupied(mut field) => {
            let others = field.iter().map(HeaderValue::as_bytes);
            let line = joined(own, others.filter(|other| alike(other)));
            if let Some(line) = line.or_else(value) {
                field.insert(line);
            }
        }
    }
}

/// `None` where there are no others.
fn joined<'a>(own: &[u8], mut others: impl Iterator<Item = &'a [u8]>) -> Option<HeaderValue> {
    let first = others.next()?;
    // One line is the rule.
    let mut line = Vec::with_capacity(own.len() + 2 + first.len());
    line.extend_from_slice(own);
    for other in iter::once(first).chain(others) {
        line.extend_from_slice(b", ");
        line.extend_from_slice(other);
    }
    // Of values, and so one.
    HeaderValue::from_maybe_shared(Bytes::from(line)).ok()
}
