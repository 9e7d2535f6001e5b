//! How long a response is fresh (RFC 9111 §4.2.1, §4.2.2).

use std::time::{Duration, SystemTime};

use buttress_http::parse_http_date;
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{CACHE_CONTROL, DATE, EXPIRES, LAST_MODIFIED},
};

use super::{
    Options, ResponseDirectives, age::since, list::trim, storable::is_heuristically_cacheable,
    targeted,
};

/// No lifetime is longer (RFC 9111 §1.2.2).
const MOST: Duration = Duration::from_secs(1 << 31);

/// What a freshness lifetime rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// `s-maxage`, in a shared cache.
    SMaxage,

    /// `max-age`.
    MaxAge,

    /// Expires − Date.
    Expires,

    /// A guess from Last-Modified (§4.2.2).
    Heuristic,

    /// Nothing: it is stale at once.
    None,
}

/// What governs a response's caching.
#[derive(Clone, Copy, Debug)]
pub(super) struct Governing {
    pub(super) directives: ResponseDirectives,
    /// A targeted field is in force, so Expires is not (RFC 9213 §2.2).
    targeted: bool,
}

impl Governing {
    pub(super) fn read(options: &Options, headers: &HeaderMap) -> Self {
        match targeted::read(headers, &options.targeted) {
            Some(directives) => Self {
                directives,
                targeted: true,
            },
            None => Self {
                directives: ResponseDirectives::read(headers),
                targeted: false,
            },
        }
    }

    /// Whether the field may be among those that govern.
    pub(super) fn is_read_from(options: &Options, name: &HeaderName) -> bool {
        *name == CACHE_CONTROL || *name == EXPIRES || options.targeted.contains(name)
    }

    /// Whether the response says itself how long it is fresh.
    pub(super) fn is_explicit(&self, options: &Options, headers: &HeaderMap) -> bool {
        self.directives.max_age.is_some()
            || (options.shared && self.directives.s_maxage.is_some())
            || (!self.targeted && headers.contains_key(EXPIRES))
    }

    /// The freshness lifetime, by the first rule that applies, and which rule that was.
    pub(super) fn lifetime(
        &self,
        options: &Options,
        status: StatusCode,
        headers: &HeaderMap,
        responded: SystemTime,
    ) -> (Duration, Source) {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        if let (true, Some(lifetime)) = (options.shared, self.directives.s_maxage) {
            return (seconds(lifetime), Source::SMaxage);
        }
        if let Some(lifetime) = self.directives.max_age {
            return (seconds(lifetime), Source::MaxAge);
        }
        let date = date(headers, responded).unwrap_or(responded);
        if !self.targeted && headers.contains_key(EXPIRES) {
            let lifetime = field(headers, EXPIRES, responded)
                .map_or(Duration::ZERO, |expires| since(expires, date));
            return (lifetime.min(MOST), Source::Expires);
        }
        if (is_heuristically_cacheable(status) || self.directives.public)
            && let (Some(heuristic), Some(modified)) =
                (options.heuristic, last_modified(headers, responded))
        {
            let share = since(date, modified).as_secs_f64() * heuristic.fraction;
            let lifetime = Duration::try_from_secs_f64(share).unwrap_or_default();
            return (lifetime.min(heuristic.max).min(MOST), Source::Heuristic);
        }
        (Duration::ZERO, Source::None)
    }
}

/// The Date field; `None` where it is missing or cannot be read.
pub(super) fn date(headers: &HeaderMap, now: SystemTime) -> Option<SystemTime> {
    field(headers, DATE, now)
}

/// The Last-Modified field; `None` where it is missing or cannot be read.
pub(super) fn last_modified(headers: &HeaderMap, now: SystemTime) -> Option<SystemTime> {
    field(headers, LAST_MODIFIED, now)
}

/// A field that holds a date; `None` also where there are several.
pub(super) fn field(headers: &HeaderMap, name: HeaderName, now: SystemTime) -> Option<SystemTime> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    let text = std::str::from_utf8(trim(line.as_bytes())).ok()?;
    parse_http_date(text, now).or_else(|| lenient(text, now))
}

/// A date in whatever case, on whatever day of the week: RFC 9111 §4.2 asks caches not to insist on the one, and the
/// other says nothing that the rest does not say.
fn lenient(text: &str, now: SystemTime) -> Option<SystemTime> {
    /// Longer than any date.
    const LONGEST: usize = 40;
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    if text.len() > LONGEST {
        return None;
    }
    let text = in_proper_case(text);
    parse_http_date(&text, now).or_else(|| {
        let (day, rest) = text.split_at_checked(3)?;
        if !DAYS.contains(&day) {
            return None;
        }
        DAYS.iter()
            .find_map(|day| parse_http_date(&format!("{day}{rest}"), now))
    })
}

/// Letters in the case that the grammar of dates gives them.
fn in_proper_case(text: &str) -> String {
    let mut proper = String::with_capacity(text.len());
    let mut starts = true;
    for letter in text.chars() {
        proper.push(match starts {
            true => letter.to_ascii_uppercase(),
            false => letter.to_ascii_lowercase(),
        });
        starts = !letter.is_ascii_alphabetic();
    }
    match proper.strip_suffix(" Gmt") {
        Some(rest) => format!("{rest} GMT"),
        None => proper,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOW: &str = "Sun, 22 Nov 2026 12:00:00 GMT";

    fn now() -> SystemTime {
        httpdate::parse_http_date(NOW).unwrap()
    }

    fn expires(lines: &[&'static str]) -> Duration {
        let mut headers: HeaderMap = lines
            .iter()
            .map(|line| (EXPIRES, HeaderValue::from_bytes(line.as_bytes()).unwrap()))
            .collect();
        headers.insert(DATE, HeaderValue::from_static(NOW));
        let options = Options::shared();
        let governing = Governing::read(&options, &headers);
        let (lifetime, source) = governing.lifetime(&options, StatusCode::OK, &headers, now());
        assert_eq!(source, Source::Expires);
        lifetime
    }

    #[test]
    fn the_three_forms_of_a_date_are_understood() {
        let until_2050 = httpdate::parse_http_date("Thu, 18 Aug 2050 02:01:18 GMT")
            .unwrap()
            .duration_since(now())
            .unwrap();
        for form in [
            "Thu, 18 Aug 2050 02:01:18 GMT",
            " Thu, 18 Aug 2050 02:01:18 GMT\t",
            "Thursday, 18-Aug-50 02:01:18 GMT",
            "Thu Aug 18 02:01:18 2050",
            "THU, 18 Aug 2050 02:01:18 GMT",
            "thu, 18 AUG 2050 02:01:18 gMT",
            "tHURSDAY, 18-aug-50 02:01:18 gmt",
            "thu aug 18 02:01:18 2050",
            "Mon, 18 Aug 2050 02:01:18 GMT",
            "MON AUG 18 02:01:18 2050",
        ] {
            assert_eq!(expires(&[form]), until_2050, "{form}");
        }
        assert_eq!(expires(&["Fri, 31 Dec 9999 23:59:59 GMT"]), MOST);
    }

    #[test]
    fn what_is_no_date_is_past() {
        for odd in [
            "",
            "0",
            "-1",
            "foo",
            "Tue 19 Jan 2038 14:14:08 GMT",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 18 Aug 2050 02:01:18 GMT+1",
            "Thu, 18 Aug 2050 02:01:18 GMTX",
            "Thu, 18 Aug 2050 02:01:18 GM\u{fc}",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 31 Feb 2050 02:01:18 GMT",
            "Day, 18 Aug 2050 02:01:18 GMT",
            "Th\u{fc}, 18 Aug 2050 02:01:18 GMT",
            "Th",
            "Thu, 18 Aug 1950 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT",
        ] {
            assert_eq!(expires(&[odd]), Duration::ZERO, "{odd}");
        }
        let twice = ["Thu, 18 Aug 2050 02:01:18 GMT"; 2];
        assert_eq!(expires(&twice), Duration::ZERO);
    }

    #[test]
    fn a_fraction_that_is_none_guesses_nothing() {
        let headers = HeaderMap::from_iter([(
            LAST_MODIFIED,
            HeaderValue::from_static("Sat, 21 Nov 2026 12:00:00 GMT"),
        )]);
        for (fraction, seconds) in [
            (0.1, 8_640),
            (0.0, 0),
            (-1.0, 0),
            (f64::NAN, 0),
            (f64::INFINITY, 0),
            (1e300, 0),
            (100.0, 86_400),
        ] {
            let options = Options {
                heuristic: Some(super::super::Heuristic::new(
                    fraction,
                    Duration::from_secs(86_400),
                )),
                ..Options::shared()
            };
            let governing = Governing::read(&options, &headers);
            let lifetime = governing.lifetime(&options, StatusCode::OK, &headers, now());
            assert_eq!(
                lifetime,
                (Duration::from_secs(seconds), Source::Heuristic),
                "{fraction}"
            );
        }
    }
}
