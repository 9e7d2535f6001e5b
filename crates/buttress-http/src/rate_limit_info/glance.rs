use http::{HeaderMap, HeaderValue};

use super::line;

/// What the names of a response's fields promise, and those fields.
///
/// Most responses say nothing of limits, and the tables are long: they are looked up in these few, not in all there are.
#[derive(Debug)]
pub(super) struct Glance<'a> {
    headers: &'a HeaderMap,
    /// The first line of each field that promises something.
    few: [Option<(&'a str, &'a HeaderValue)>; MOST],
    found: usize,
    pub(super) limits: bool,
    pub(super) waits: bool,
    pub(super) grpc: bool,
}

/// No server has more; where one has, they are looked up among all.
const MOST: usize = 24;

impl<'a> Glance<'a> {
    pub(super) fn at(headers: &'a HeaderMap) -> Self {
        let mut seen = Self {
            headers,
            few: [None; MOST],
            found: 0,
            limits: false,
            waits: false,
            grpc: false,
        };
        let mut before = "";
        for (name, value) in headers {
            let name = name.as_str();
            let (limits, waits, grpc) = (is_of_limits(name), is_of_waits(name), is_of_grpc(name));
            // Lines of one field come one after the other.
            if (limits || waits) && name != before {
                if let Some(place) = seen.few.get_mut(seen.found) {
                    *place = Some((name, value));
                }
                seen.found = seen.found.saturating_add(1);
            }
            seen.limits |= limits;
            seen.waits |= waits;
            seen.grpc |= grpc;
            before = name;
        }
        seen
    }

    pub(super) const fn is_promising(&self) -> bool {
        self.limits || self.waits
    }

    /// The first line of a field that promises something, as [`line::first`] reads it.
    pub(super) fn first(&self, name: &str) -> Option<&'a str> {
        if self.found > MOST {
            return line::first(self.headers, name);
        }
        let mut few = self.few.iter().take(self.found).flatten();
        let (_, value) = few.find(|(known, _)| *known == name)?;
        line::text(value)
    }

    /// All lines of a field that promises something, as [`line::list`] reads them.
    pub(super) fn list(&self, name: &str) -> Option<String> {
        let is_there = self.found > MOST
            || self
                .few
                .iter()
                .take(self.found)
                .flatten()
                .any(|(known, _)| *known == name);
        is_there.then(|| line::list(self.headers, name))?
    }
}

/// Each dialect has this word in every name.
pub(super) fn is_of_limits(name: &str) -> bool {
    contains(name, b"limit")
}

/// gRPC's status and its details, too.
pub(super) fn is_of_waits(name: &str) -> bool {
    contains(name, b"retry") || is_of_grpc(name)
}

fn is_of_grpc(name: &str) -> bool {
    name.starts_with("grpc-")
}

/// `str::contains` prepares a search for longer texts than names are.
fn contains<const N: usize>(name: &str, word: &[u8; N]) -> bool {
    name.as_bytes().windows(N).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(lines: impl IntoIterator<Item = (String, &'static str)>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::try_from(name).unwrap(),
                HeaderValue::from_static(value),
            );
        }
        headers
    }

    #[test]
    fn what_promises_something_is_found() {
        let headers = headers([
            ("x-ratelimit-limit".into(), "1"),
            ("date".into(), "today"),
            ("retry-after-ms".into(), "2"),
            ("x-ratelimit-limit".into(), "3"),
            ("ratelimit".into(), "a;r=1"),
            ("ratelimit".into(), "b;r=2"),
        ]);
        let seen = Glance::at(&headers);
        assert!(seen.limits && seen.waits && !seen.grpc);
        assert_eq!(seen.first("x-ratelimit-limit"), Some("1"));
        assert_eq!(seen.first("retry-after-ms"), Some("2"));
        assert_eq!(seen.list("ratelimit").as_deref(), Some("a;r=1, b;r=2"));
        assert_eq!((seen.first("date"), seen.list("x-ratelimit")), (None, None));
        assert!(!Glance::at(&HeaderMap::new()).is_promising());
    }

    /// A flood of names hides none of those that matter.
    #[test]
    fn more_than_there_is_room_for_are_looked_up_among_all() {
        for flood in [MOST - 1, MOST, MOST + 1, 200] {
            let flood = (0..flood).map(|n| (format!("limit-{n}"), "0"));
            let headers = headers(flood.chain([("x-ratelimit-reset".to_owned(), "7")]));
            let seen = Glance::at(&headers);
            assert_eq!(seen.first("x-ratelimit-reset"), Some("7"));
            assert_eq!(seen.list("x-ratelimit-reset").as_deref(), Some("7"));
        }
    }
}
