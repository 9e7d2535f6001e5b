use http::{HeaderMap, header::PRAGMA};

use super::{super::list::elements, directive::directives};

/// What a request's Cache-Control asks for (RFC 9111 §5.2.1), in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestDirectives {
    /// Nothing stored without asking the origin. `Pragma: no-cache` means the same where there is no Cache-Control
    /// (§5.4).
    pub no_cache: bool,

    /// Neither the request nor its response is to be stored.
    pub no_store: bool,

    /// Nothing but what is stored.
    pub only_if_cached: bool,

    /// Nothing older. Where it cannot be read, nothing of any age.
    pub max_age: Option<u32>,

    /// Nothing that is not going to be fresh for as long.
    pub min_fresh: Option<u32>,

    /// Stale responses are welcome. What cannot be read asks for nothing.
    pub max_stale: Option<MaxStale>,

    /// For how long a stale response is welcome when the origin fails (RFC 5861 §4).
    pub stale_if_error: Option<u32>,
}

/// How stale a response may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MaxStale {
    /// Any age is fine.
    Any,

    /// For so many seconds.
    For(u32),
}

impl RequestDirectives {
    /// Reads all of a request's Cache-Control and Pragma lines. Of several arguments for one directive the first
    /// counts.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let mut all = Self::default();
        let mut any = false;
        for directive in directives(headers) {
            any = true;
            let name = directive.name();
            if name.eq_ignore_ascii_case(b"no-cache") {
                all.no_cache = true;
            } else if name.eq_ignore_ascii_case(b"no-store") {
                all.no_store = true;
            } else if name.eq_ignore_ascii_case(b"only-if-cached") {
                all.only_if_cached |= directive.is_bare();
            } else if name.eq_ignore_ascii_case(b"max-age") {
                all.max_age
                    .get_or_insert_with(|| directive.seconds().unwrap_or(0));
            } else if name.eq_ignore_ascii_case(b"min-fresh") {
                all.min_fresh = all.min_fresh.or_else(|| directive.seconds());
            } else if name.eq_ignore_ascii_case(b"max-stale") {
                all.max_stale = all.max_stale.or_else(|| match directive.is_bare() {
                    true => Some(MaxStale::Any),
                    false => directive.seconds().map(MaxStale::For),
                });
            } else if name.eq_ignore_ascii_case(b"stale-if-error") {
                all.stale_if_error = all.stale_if_error.or_else(|| directive.seconds());
            }
        }
        // "When the Cache-Control header field is also present", which an empty one is not.
        if !any {
            all.no_cache = headers
                .get_all(PRAGMA)
                .iter()
                .flat_map(|line| elements(line.as_bytes()))
                .any(|element| element.eq_ignore_ascii_case(b"no-cache"));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn read(fields: &[(&'static str, &'static str)]) -> RequestDirectives {
        let headers = fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        RequestDirectives::read(&headers)
    }

    #[test]
    fn every_directive_in_any_case_on_any_line() {
        assert_eq!(
            read(&[
                ("cache-control", "No-Cache, nO-store,only-if-cached"),
                ("cache-control", "max-age=1, foo=bar , Min-Fresh=\"2\""),
                ("cache-control", "max-stale=3, stale-if-error=4"),
            ]),
            RequestDirectives {
                no_cache: true,
                no_store: true,
                only_if_cached: true,
                max_age: Some(1),
                min_fresh: Some(2),
                max_stale: Some(MaxStale::For(3)),
                stale_if_error: Some(4),
            }
        );
        assert_eq!(
            read(&[("cache-control", "max-stale")]).max_stale,
            Some(MaxStale::Any)
        );
    }

    #[test]
    fn what_cannot_be_read_widens_nothing() {
        let odd = read(&[(
            "cache-control",
            "max-age=x, min-fresh=-1, max-stale=1.5, only-if-cached=1",
        )]);
        let expected = RequestDirectives {
            max_age: Some(0),
            ..RequestDirectives::default()
        };
        assert_eq!(odd, expected);
    }

    #[test]
    fn pragma_speaks_only_where_cache_control_is_silent() {
        assert!(read(&[("pragma", "x, No-Cache")]).no_cache);
        assert!(!read(&[("pragma", "no-cache=1")]).no_cache);
        assert!(!read(&[("pragma", "no-cache"), ("cache-control", "max-age=1")]).no_cache);
        assert!(read(&[("pragma", "no-cache"), ("cache-control", " , ")]).no_cache);
    }
}
