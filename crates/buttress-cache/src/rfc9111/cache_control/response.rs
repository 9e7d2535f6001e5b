use http::HeaderMap;

use super::directive::directives;

/// What a response's Cache-Control, or a targeted field in its place, says (RFC 9111 §5.2.2), in seconds.
///
/// What restricts is heeded whatever its argument, so `private="field"` and `no-cache="field"` count as unqualified,
/// which RFC 9111 §5.2.2.4 and §5.2.2.7 allow. What permits must be written as the RFC has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseDirectives {
    /// Not to be stored.
    pub no_store: bool,

    /// Never to be used without asking the origin.
    pub no_cache: bool,

    /// For one user only.
    pub private: bool,

    /// May be stored although something forbids it by default: Authorization, or a status without a default.
    pub public: bool,

    /// Once stale, never to be used without asking the origin.
    pub must_revalidate: bool,

    /// The same, for shared caches.
    pub proxy_revalidate: bool,

    /// To be stored only by who understands the status, who may then ignore `no-store`.
    pub must_understand: bool,

    /// Will not change while it is fresh (RFC 8246).
    pub immutable: bool,

    /// The freshness lifetime. Where it cannot be read, 0.
    pub max_age: Option<u32>,

    /// The freshness lifetime for shared caches. Where it cannot be read, 0.
    pub s_maxage: Option<u32>,

    /// For how long it may be used while it is validated in the background (RFC 5861 §3). Where it cannot be read, 0.
    pub stale_while_revalidate: Option<u32>,

    /// For how long it may be used when the origin fails (RFC 5861 §4). Where it cannot be read, 0.
    pub stale_if_error: Option<u32>,
}

impl ResponseDirectives {
    /// Reads all of a response's Cache-Control lines. Of several arguments for one directive the first counts (RFC
    /// 9111 §4.2.1).
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let mut all = Self::default();
        for directive in directives(headers) {
            all.add(directive.name(), directive.is_bare(), directive.seconds());
        }
        all
    }

    /// Adds a directive: its name, whether it came without an argument, and its argument in seconds if it is that.
    pub(in super::super) fn add(&mut self, name: &[u8], bare: bool, seconds: Option<u32>) {
        let is = |directive: &str| name.eq_ignore_ascii_case(directive.as_bytes());
        let lifetime = |first: &mut Option<u32>| {
            first.get_or_insert(seconds.unwrap_or(0));
        };
        if is("max-age") {
            lifetime(&mut self.max_age);
        } else if is("s-maxage") {
            lifetime(&mut self.s_maxage);
        } else if is("stale-while-revalidate") {
            lifetime(&mut self.stale_while_revalidate);
        } else if is("stale-if-error") {
            lifetime(&mut self.stale_if_error);
        } else if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache = true;
        } else if is("private") {
            self.private = true;
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("must-understand") {
            self.must_understand = true;
        } else if is("public") {
            self.public |= bare;
        } else if is("immutable") {
            self.immutable |= bare;
        }
    }

    /// Whether it may be shared although the request had Authorization (RFC 9111 §3.5).
    pub(in super::super) fn allows_authorization(&self) -> bool {
        self.public || self.must_revalidate || self.s_maxage.is_some()
    }

    /// Whether it must not be used once it is stale, not even when the origin is gone (RFC 9111 §4.2.4).
    pub(in super::super) fn forbids_stale(&self, shared: bool) -> bool {
        self.no_cache
            || self.must_revalidate
            || (shared && (self.proxy_revalidate || self.s_maxage.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::CACHE_CONTROL};
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[&str]) -> ResponseDirectives {
        let headers = lines
            .iter()
            .map(|line| (CACHE_CONTROL, HeaderValue::from_str(line).unwrap()))
            .collect();
        ResponseDirectives::read(&headers)
    }

    #[test]
    fn every_directive_in_any_case_on_any_line() {
        assert_eq!(
            read(&[
                "No-Store,NO-CACHE , private, public",
                "must-revalidate,proxy-revalidate,must-understand,,immutable",
                "foobar, max-age=1, s-maxage=\"2\"",
                "stale-while-revalidate=3, stale-if-error=4",
            ]),
            ResponseDirectives {
                no_store: true,
                no_cache: true,
                private: true,
                public: true,
                must_revalidate: true,
                proxy_revalidate: true,
                must_understand: true,
                immutable: true,
                max_age: Some(1),
                s_maxage: Some(2),
                stale_while_revalidate: Some(3),
                stale_if_error: Some(4),
            }
        );
    }

    #[test]
    fn of_several_arguments_the_first_counts() {
        assert_eq!(read(&["max-age=1, max-age=1800"]).max_age, Some(1));
        assert_eq!(read(&["max-age=1800", "max-age=1"]).max_age, Some(1800));
        assert_eq!(read(&["max-age=x, max-age=1"]).max_age, Some(0));
    }

    #[test]
    fn a_lifetime_that_cannot_be_read_is_none() {
        for odd in [
            "max-age",
            "max-age=",
            "max-age=-3600",
            "max-age='3600'",
            "max-age=3600.0",
            "max-age=a3600",
            "max-age=3600a",
            "max-age =3600",
            "max-age= 3600",
            "max-age=\"3600",
            "max-age=\"36\"00",
        ] {
            assert_eq!(read(&[odd]).max_age, Some(0), "{odd}");
        }
        assert_eq!(read(&["max-age=003600"]).max_age, Some(3600));
        assert_eq!(read(&["max-age=\"3600\""]).max_age, Some(3600));
        assert_eq!(read(&["max-age=99999999999"]).max_age, Some(1 << 31));
    }

    #[test]
    fn a_directive_within_a_quoted_string_is_none() {
        assert_eq!(
            read(&[r#"extension="max-age=3600, no-store", max-age=1"#]),
            ResponseDirectives {
                max_age: Some(1),
                ..ResponseDirectives::default()
            }
        );
    }

    #[test]
    fn what_restricts_is_heeded_whatever_its_argument_and_what_permits_is_not() {
        let odd =
            read(&[r#"private="set-cookie", no-cache=x, no-store =1, public=1, immutable="""#]);
        assert!(odd.private && odd.no_cache && odd.no_store);
        assert!(!odd.public && !odd.immutable);
    }

    proptest! {
        /// Whatever surrounds it, a `no-store` of its own is seen.
        #[test]
        fn no_store_is_never_missed(before in "[a-z=; \\\\-]{0,20}", after in "[ -~]{0,20}", case: u8) {
            let name: String = "no-store"
                .char_indices()
                .map(|(at, letter)| match case >> at & 1 {
                    0 => letter,
                    _ => letter.to_ascii_uppercase(),
                })
                .collect();
            let line = format!("{before},\t{name} ,{after}");
            prop_assert!(read(&[&line]).no_store);
        }
    }
}
