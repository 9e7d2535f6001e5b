use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

use super::{duration, line, rfc3339};
use crate::{
    RetryAfter, http_date,
    seconds::{decimal, seconds},
};

/// The time that it is where the message came from, and how long it was on the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender {
    now: SystemTime,
    age: Duration,
}

impl Sender {
    /// `Date` is the sender's clock when the message was made. Dates are reckoned from it, so that it
    /// does not matter how far that clock is from ours.
    pub(super) fn of(headers: &HeaderMap, now: SystemTime) -> Self {
        // RFC 9111 §5.1: of several values the first, and an invalid one is ignored.
        let age = line::first(headers, header::AGE)
            .and_then(|text| decimal(text.split(',').next()?.trim_end()))
            .map_or(Duration::ZERO, |age| {
                Duration::from_secs(age).min(RetryAfter::MAX)
            });
        let date = line::first(headers, header::DATE)
            .and_then(|text| http_date::parse(text, now))
            .and_then(|date| date.checked_add(age));
        Self {
            now: date.unwrap_or(now),
            age,
        }
    }

    /// Now, on the sender's clock.
    pub(super) fn now(self) -> SystemTime {
        self.now
    }

    /// Was the message kept in a cache? What it tells of limits is then somebody else's, or past.
    pub(super) fn is_cached(self) -> bool {
        !self.age.is_zero()
    }

    /// What is left of a span that began when the message was made.
    pub(super) fn left_of(self, span: Duration) -> Duration {
        span.saturating_sub(self.age).min(RetryAfter::MAX)
    }

    /// How far a date is ahead; zero if it is past.
    pub(super) fn until(self, date: SystemTime) -> Duration {
        http_date::ahead_of(date, self.now).min(RetryAfter::MAX)
    }

    /// How long until a reset, whichever way it is written: a date (RFC 3339, or an HTTP date), a span
    /// with units, milliseconds or seconds since 1970, or seconds from now. Clamped to
    /// [`RetryAfter::MAX`].
    pub(super) fn reset(self, text: &str) -> Option<Duration> {
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return http_date::parse(text, self.now).map(|date| self.until(date));
        }
        if text.contains(['T', '-']) {
            return rfc3339::parse(text).map(|date| self.until(date));
        }
        let Some(number) = seconds(text) else {
            return duration::parse(text).map(|span| self.left_of(span));
        };
        let since_1970 = match number.as_secs() {
            delta if delta <= BILLION => return Some(self.left_of(number)),
            seconds if seconds <= TRILLION => number,
            _milliseconds => number / 1_000,
        };
        // A date that no clock can show is as far away as can be.
        Some(match SystemTime::UNIX_EPOCH.checked_add(since_1970) {
            Some(date) => self.until(date),
            None => RetryAfter::MAX,
        })
    }
}

/// The second of 9 September 2001: no reset is that far ahead, and none that is told by its date lies
/// before.
const BILLION: u64 = 1_000_000_000;

/// As a number of seconds it is the year 33658.
const TRILLION: u64 = 1_000_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Thursday, 9 October 2025, 12:00:00.
    const NOW: u64 = 1_760_011_200;

    fn sender(lines: &[(&'static str, &str)]) -> Sender {
        let headers =
            HeaderMap::from_iter(lines.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), value.parse().unwrap())
            }));
        Sender::of(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[test]
    fn a_bare_reset_is_told_apart() {
        let cases = [
            ("30", Some(30_000)),
            ("0", Some(0)),
            ("1.5", Some(1_500)),
            ("1760011230", Some(30_000)),
            ("1760011230.25", Some(30_250)),
            ("1760011230000", Some(30_000)),
            ("1760011100", Some(0)),
            ("2025-10-09T12:00:30Z", Some(30_000)),
            ("2025-10-09T14:00:30+02:00", Some(30_000)),
            ("2025-10-09 12:00:30Z", Some(30_000)),
            ("2025-10-09t12:00:30z", Some(30_000)),
            ("6m0s", Some(360_000)),
            ("12ms", Some(12)),
            ("Thu, 09 Oct 2025 12:00:30 GMT", Some(30_000)),
            ("-1", None),
            ("", None),
            ("soon", None),
            ("1e9", None),
            ("30 s", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(sender(&[]).reset(text), expected, "{text}");
        }
    }

    #[test]
    fn the_edges_between_the_forms() {
        let reset = |text| sender(&[]).reset(text);
        assert_eq!(
            reset("1000000000"),
            Some(Duration::from_secs(1_000_000_000))
        );
        assert_eq!(reset("1000000001"), Some(Duration::ZERO));
        assert_eq!(reset("1000000000000"), Some(RetryAfter::MAX));
        assert_eq!(reset("1000000000001"), Some(Duration::ZERO));
        for absurd in [
            "999999999999",
            "99999999999999999999",
            "9999-12-31T23:59:59Z",
            "99999999999d",
        ] {
            assert_eq!(reset(absurd), Some(RetryAfter::MAX), "{absurd}");
        }
    }

    /// Its clock is an hour ahead of ours.
    #[test]
    fn skew_is_cancelled_by_the_date() {
        let skewed = sender(&[("date", "Thu, 09 Oct 2025 13:00:00 GMT")]);
        for reset in ["1760014830", "2025-10-09T13:00:30Z", "30", "30s"] {
            assert_eq!(
                skewed.reset(reset),
                Some(Duration::from_secs(30)),
                "{reset}"
            );
        }
        let rubbish = sender(&[("date", "today")]);
        assert_eq!(rubbish.reset("1760011230"), Some(Duration::from_secs(30)));
    }

    #[test]
    fn time_passed_on_the_way() {
        let cached = sender(&[("date", "Thu, 09 Oct 2025 12:00:00 GMT"), ("age", "20")]);
        assert!(cached.is_cached());
        for reset in ["1760011230", "30", "30s"] {
            assert_eq!(
                cached.reset(reset),
                Some(Duration::from_secs(10)),
                "{reset}"
            );
        }
        assert_eq!(cached.reset("5"), Some(Duration::ZERO));
        for (age, is_cached) in [
            ("0", false),
            ("1", true),
            ("1, 0", true),
            ("-1", false),
            ("1;x", false),
            ("x", false),
        ] {
            assert_eq!(sender(&[("age", age)]).is_cached(), is_cached, "{age}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text: String, date: String, age: u64) {
            let mut headers = HeaderMap::new();
            if let Ok(date) = date.parse() {
                headers.insert("date", date);
            }
            headers.insert("age", age.into());
            let _ = Sender::of(&headers, SystemTime::UNIX_EPOCH).reset(&text);
        }

        #[test]
        fn no_number_is_a_panic_and_every_one_has_a_bound(whole in "[0-9]{1,25}", fraction in "(\\.[0-9]{1,12})?", age: u32) {
            let mut headers = HeaderMap::new();
            headers.insert("age", age.into());
            let text = format!("{whole}{fraction}");
            let reset = Sender::of(&headers, SystemTime::UNIX_EPOCH).reset(&text);
            prop_assert!(reset.is_some_and(|reset| reset <= RetryAfter::MAX), "{reset:?}");
        }
    }
}
