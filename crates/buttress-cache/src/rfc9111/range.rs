//! Byte ranges (RFC 9110 §14).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header};

use super::{
    StoredHead,
    age::since,
    entity_tag, freshness,
    list::{elements, trim},
};

/// The part of a representation that a stored 206 holds: bytes `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// The first byte's position.
    pub first: u64,

    /// The last byte's position, never before the first.
    pub last: u64,

    /// The length of the whole representation, where it is known; then it is greater than `last`.
    pub complete: Option<u64>,
}

impl Part {
    /// A Content-Range (§14.4) of bytes that is satisfied and valid.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(header::CONTENT_RANGE).iter();
        let line = trim(lines.next()?.as_bytes());
        if lines.next().is_some() {
            return None;
        }
        let (unit, rest) = split(line, b' ')?;
        let (range, complete) = split(rest, b'/')?;
        let (first, last) = split(range, b'-')?;
        let part = Self {
            first: number(first)?,
            last: number(last)?,
            complete: match complete {
                b"*" => None,
                digits => Some(number(digits)?),
            },
        };
        let valid = unit.eq_ignore_ascii_case(b"bytes")
            && part.first <= part.last
            && part.complete.is_none_or(|complete| part.last < complete)
            && part.last < u64::MAX;
        valid.then_some(part)
    }

    /// How many bytes it is, one at least.
    #[expect(clippy::len_without_is_empty, reason = "there is no empty part")]
    #[must_use]
    pub fn len(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// Its beginning, so many bytes; `None` where that is nothing, or more than it has.
    pub(super) fn shortened(self, length: u64) -> Option<Self> {
        let fits = length > 0 && length <= self.len();
        fits.then(|| Self {
            last: self.first.saturating_add(length - 1),
            ..self
        })
    }

    /// As a Content-Range field.
    pub(super) fn content_range(&self) -> HeaderValue {
        let Self { first, last, .. } = self;
        let text = match self.complete {
            Some(complete) => format!("bytes {first}-{last}/{complete}"),
            None => format!("bytes {first}-{last}/*"),
        };
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"))
    }
}

/// A part of a stored body that answers a Range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slice {
    /// Where it begins in the stored body.
    pub offset: u64,

    /// How long it is; `offset + length` is never more than the body's length.
    pub length: u64,

    /// What it is of the representation.
    pub part: Part,
}

/// One range of bytes, as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteRange {
    FromTo(u64, u64),
    From(u64),
    Last(u64),
}

/// What a range is of a representation whose length is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    Part {
        first: u64,
        last: u64,
    },
    /// The last bytes of what is empty: all of it, and no part that a Content-Range could tell of.
    Whole,
    Unsatisfiable,
}

impl ByteRange {
    /// The request's Range, if it is a single one in bytes. `None` for all that may be ignored (§14.2): other units,
    /// several ranges, bad grammar.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(header::RANGE).iter();
        let line = trim(lines.next()?.as_bytes());
        if lines.next().is_some() {
            return None;
        }
        let (unit, set) = split(line, b'=')?;
        if !unit.eq_ignore_ascii_case(b"bytes") {
            return None;
        }
        let mut ranges = elements(set);
        let (first, last) = split(ranges.next()?, b'-')?;
        if ranges.next().is_some() {
            return None;
        }
        match (first, last) {
            (b"", last) => number(last).map(Self::Last),
            (first, b"") => number(first).map(Self::From),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::FromTo(first, last))
            }
        }
    }

    pub(super) fn resolve(self, complete: u64) -> Resolved {
        let (first, last) = match self {
            Self::FromTo(first, last) => (first, last),
            Self::From(first) => (first, u64::MAX),
            Self::Last(length) => (complete.saturating_sub(length), u64::MAX),
        };
        match complete.checked_sub(1) {
            // Whoever wants the last of something is satisfied with less (§14.1.2).
            None if matches!(self, Self::Last(1..)) => Resolved::Whole,
            Some(end) if first <= end => Resolved::Part {
                first,
                last: last.min(end),
            },
            _ => Resolved::Unsatisfiable,
        }
    }

    /// What it is of the representation of which a part is stored; `None` where that is not certain.
    pub(super) fn within(self, stored: &Part) -> Option<(u64, u64)> {
        let (first, last) = match (self, stored.complete) {
            (range, Some(complete)) => match range.resolve(complete) {
                Resolved::Part { first, last } => (first, last),
                Resolved::Whole | Resolved::Unsatisfiable => return None,
            },
            (Self::FromTo(first, last), None) => (first, last),
            _ => return None,
        };
        (stored.first <= first && last <= stored.last).then_some((first, last))
    }
}

/// Whether If-Range lets the stored response answer (§13.1.5): there is none, or it has the same strong validator.
pub(super) fn if_range_holds(headers: &HeaderMap, stored: &StoredHead, now: SystemTime) -> bool {
    let mut lines = headers.get_all(header::IF_RANGE).iter();
    let Some(line) = lines.next() else {
        return true;
    };
    if lines.next().is_some() {
        return false;
    }
    let text = trim(line.as_bytes());
    if text.starts_with(b"\"") || text.starts_with(b"W/") {
        return entity_tag::of(stored.headers())
            .is_some_and(|tag| entity_tag::strongly_equal(tag, line));
    }
    let asked = freshness::field(headers, header::IF_RANGE, now);
    let modified = freshness::last_modified(stored.headers(), now);
    asked.is_some() && asked == modified && is_strong_date(stored.headers(), now)
}

/// A date of modification is a strong validator once a second change within it cannot go unnoticed: RFC 9110 §8.8.2.2
/// asks for a second between it and Date, by one clock; the same clock a minute long is the older and safer rule.
fn is_strong_date(headers: &HeaderMap, now: SystemTime) -> bool {
    match (
        freshness::last_modified(headers, now),
        freshness::date(headers, now),
    ) {
        (Some(modified), Some(date)) => since(date, modified) >= Duration::from_secs(60),
        _ => false,
    }
}

/// The bytes before and after the first separator.
fn split(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == separator)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// `1*DIGIT`; what is too large for the type stands for its greatest value.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(number.saturating_mul(10).saturating_add(digit.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &'static str) -> Option<ByteRange> {
        ByteRange::read(&HeaderMap::from_iter([(
            header::RANGE,
            HeaderValue::from_static(text),
        )]))
    }

    fn part(text: &'static str) -> Option<Part> {
        Part::read(&HeaderMap::from_iter([(
            header::CONTENT_RANGE,
            HeaderValue::from_static(text),
        )]))
    }

    #[test]
    fn one_range_of_bytes_is_understood() {
        assert_eq!(range("bytes=0-1"), Some(ByteRange::FromTo(0, 1)));
        assert_eq!(range(" Bytes= 5- , "), Some(ByteRange::From(5)));
        assert_eq!(range("bytes=-5"), Some(ByteRange::Last(5)));
        assert_eq!(
            range("bytes=0-99999999999999999999999"),
            Some(ByteRange::FromTo(0, u64::MAX))
        );
    }

    #[test]
    fn all_else_is_ignored() {
        for odd in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=1",
            "bytes=2-1",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes =0-1",
            "bytes=0--1",
            "bytes=+1-2",
            "0-1",
        ] {
            assert_eq!(range(odd), None, "{odd}");
        }
        let twice = HeaderMap::from_iter([
            (header::RANGE, HeaderValue::from_static("bytes=0-1")),
            (header::RANGE, HeaderValue::from_static("bytes=0-1")),
        ]);
        assert_eq!(ByteRange::read(&twice), None);
    }

    #[test]
    fn a_range_is_resolved_against_the_length() {
        let resolved = |first, last| Resolved::Part { first, last };
        assert_eq!(ByteRange::FromTo(0, 1).resolve(10), resolved(0, 1));
        assert_eq!(ByteRange::FromTo(5, 99).resolve(10), resolved(5, 9));
        assert_eq!(ByteRange::From(9).resolve(10), resolved(9, 9));
        assert_eq!(ByteRange::Last(3).resolve(10), resolved(7, 9));
        assert_eq!(ByteRange::Last(u64::MAX).resolve(10), resolved(0, 9));
        for none in [
            ByteRange::FromTo(10, 10),
            ByteRange::From(10),
            ByteRange::Last(0),
        ] {
            assert_eq!(none.resolve(10), Resolved::Unsatisfiable, "{none:?}");
        }
        for any in [
            ByteRange::FromTo(0, 0),
            ByteRange::From(0),
            ByteRange::Last(0),
        ] {
            assert_eq!(any.resolve(0), Resolved::Unsatisfiable, "{any:?}");
        }
        assert_eq!(ByteRange::Last(1).resolve(0), Resolved::Whole);
    }

    #[test]
    fn a_part_is_valid_or_nothing() {
        assert_eq!(
            part("bytes 4-9/10"),
            Some(Part {
                first: 4,
                last: 9,
                complete: Some(10)
            })
        );
        assert_eq!(
            part("BYTES 4-4/*"),
            Some(Part {
                first: 4,
                last: 4,
                complete: None
            })
        );
        for odd in [
            "",
            "bytes",
            "bytes */10",
            "bytes 5-4/10",
            "bytes 0-10/10",
            "bytes 0-9/5",
            "items 0-1/2",
            "bytes 0-1",
            "bytes 0-/2",
            "bytes=0-1/2",
            "bytes 0-18446744073709551615/*",
        ] {
            assert_eq!(part(odd), None, "{odd}");
        }
        let full = part("bytes 4-9/10").unwrap();
        assert_eq!(
            (full.len(), full.content_range()),
            (6, HeaderValue::from_static("bytes 4-9/10"))
        );
    }

    #[test]
    fn only_what_is_certain_is_within_a_part() {
        let known = part("bytes 4-9/10").unwrap();
        assert_eq!(ByteRange::FromTo(6, 8).within(&known), Some((6, 8)));
        assert_eq!(ByteRange::From(6).within(&known), Some((6, 9)));
        assert_eq!(ByteRange::Last(5).within(&known), Some((5, 9)));
        assert_eq!(ByteRange::Last(7).within(&known), None);
        assert_eq!(ByteRange::FromTo(3, 5).within(&known), None);
        assert_eq!(ByteRange::From(10).within(&known), None);
        let unknown = part("bytes 4-9/*").unwrap();
        assert_eq!(ByteRange::FromTo(6, 9).within(&unknown), Some((6, 9)));
        assert_eq!(ByteRange::From(6).within(&unknown), None);
        assert_eq!(ByteRange::Last(1).within(&unknown), None);
        assert_eq!(ByteRange::FromTo(6, 10).within(&unknown), None);
    }
}
