//! HTTP dates (RFC 9110 §5.6.7): IMF-fixdate, RFC 850 and asctime.

use std::time::{Duration, SystemTime};

use http::HeaderValue;

/// A Gregorian year on average.
const YEAR: Duration = Duration::from_secs(31_556_952);

/// As long as `Wednesday, 09-Nov-94 08:49:37 GMT`; so that nobody has rubbish copied.
const LONGEST: usize = 33;

/// The last second of the year 9999: four digits hold no later one.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// Reads an HTTP date (RFC 9110 §5.6.7) in any of its three forms: IMF-fixdate, RFC 850's, asctime's. `None` for
/// anything else, which includes dates before 1970, a wrong day of the week and a zone other than GMT. A leap second,
/// `23:59:60`, is the second after `23:59:59`.
///
/// `now` decides the century of RFC 850's two-digit years: a date that appears to be more than 50 years ahead is past.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use buttress_http::{http_date_value, parse_http_date};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
/// assert_eq!(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", now), Some(now));
/// assert_eq!(http_date_value(now), "Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
#[must_use]
pub fn parse_http_date(text: &str, now: SystemTime) -> Option<SystemTime> {
    parse(text, now)
}

/// A time as a header's value, in the one form that is to be sent (IMF-fixdate), without fractions of a second. What
/// lies outside the years 1970 to 9999, which the form cannot say, is said as the nearest that it can.
#[must_use]
pub fn http_date_value(time: SystemTime) -> HeaderValue {
    let since_epoch = ahead_of(time, SystemTime::UNIX_EPOCH).min(LAST);
    let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since_epoch);
    HeaderValue::try_from(text)
        .unwrap_or_else(|_| HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

/// Reads a date in any of the three forms. `now` decides the century of a two-digit year.
pub(crate) fn parse(text: &str, now: SystemTime) -> Option<SystemTime> {
    if text.len() > LONGEST {
        return None;
    }
    without_leap_second(text, now).or_else(|| leap_second(text, now))
}

/// The grammar has room for one, and `httpdate` has not. Past the year 9999 there are no HTTP dates.
fn leap_second(text: &str, now: SystemTime) -> Option<SystemTime> {
    let (day, rest) = text.split_once(" 23:59:60")?;
    let before = without_leap_second(&format!("{day} 23:59:59{rest}"), now)?;
    Some((before + Duration::from_secs(1)).min(SystemTime::UNIX_EPOCH + LAST))
}

fn without_leap_second(text: &str, now: SystemTime) -> Option<SystemTime> {
    // Of the three forms only RFC 850's has hyphens. It must not reach `httpdate`, which takes 70 to 99
    // for 1970 to 1999 whatever the year is.
    if text.contains('-') {
        rfc850(text, now)
    } else {
        httpdate::parse_http_date(text).ok()
    }
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`. A year that appears to be more than 50 years ahead is the last
/// one past with these two digits.
fn rfc850(text: &str, now: SystemTime) -> Option<SystemTime> {
    let (weekday, rest) = text.split_once(", ")?;
    if !WEEKDAYS.contains(&weekday) {
        return None;
    }
    let mut parts = rest.splitn(3, '-');
    let (day, month, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, time) = rest.split_once(' ')?;
    if year.len() != 2 || !year.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let two_digits: u64 = year.parse().ok()?;

    // One year more than the rule allows, because the estimate may be a day off at the turn of a year;
    // the comparison below is exact enough.
    let latest_year = 1970 + years_since_epoch(now) + 51;
    let year = latest_year - (latest_year + 100 - two_digits) % 100;
    match fixdate(day, month, year, time) {
        Some(date) if ahead_of(date, now) <= YEAR * 50 => Some(date),
        // 29 February of a century's year that is no leap year is a date in another century only.
        _ => fixdate(day, month, year.checked_sub(100)?, time),
    }
}

const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// The date, whatever day of the week it was: a sender of two-digit years may well have meant another
/// century when it reckoned that.
fn fixdate(day: &str, month: &str, year: u64, time: &str) -> Option<SystemTime> {
    WEEKDAYS.iter().find_map(|weekday| {
        let weekday = weekday.get(..3)?;
        httpdate::parse_http_date(&format!("{weekday}, {day} {month} {year} {time}")).ok()
    })
}

fn years_since_epoch(now: SystemTime) -> u64 {
    let seconds = ahead_of(now, SystemTime::UNIX_EPOCH).as_secs();
    // Past the year 9999 there are no HTTP dates.
    (seconds / YEAR.as_secs()).min(8_029)
}

/// For how long `then` is still ahead of `now`; zero where it is past.
pub(crate) fn ahead_of(then: SystemTime, now: SystemTime) -> Duration {
    then.duration_since(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(imf: &str) -> SystemTime {
        httpdate::parse_http_date(imf).unwrap()
    }

    #[test]
    fn the_three_forms_are_one_date() {
        let now = at("Sun, 06 Nov 1994 00:00:00 GMT");
        let date = Some(at("Sun, 06 Nov 1994 08:49:37 GMT"));
        for form in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(form, now), date, "{form}");
        }
    }

    /// RFC 9110 §5.6.7: `00:00:00 - 23:59:60 (leap second)`.
    #[test]
    fn a_leap_second_is_the_one_after() {
        let now = at("Sun, 01 Jan 2017 00:00:00 GMT");
        for form in [
            "Sat, 31 Dec 2016 23:59:60 GMT",
            "Saturday, 31-Dec-16 23:59:60 GMT",
            "Sat Dec 31 23:59:60 2016",
        ] {
            assert_eq!(parse(form, now), Some(now), "{form}");
        }
        let last = parse("Fri, 31 Dec 9999 23:59:60 GMT", now);
        assert_eq!(last, Some(SystemTime::UNIX_EPOCH + LAST));
    }

    /// `httpdate` alone reads 70 as 1970 for ever.
    #[test]
    fn two_digits_are_of_the_century_that_is_at_most_50_years_ahead() {
        let cases = [
            (
                "Wed, 01 Jan 2025 00:00:00 GMT",
                "Monday, 01-Jan-70 00:00:00 GMT",
                "Wed, 01 Jan 2070 00:00:00 GMT",
            ),
            (
                "Wed, 01 Jan 2025 00:00:00 GMT",
                "Tuesday, 31-Dec-74 00:00:00 GMT",
                "Mon, 31 Dec 2074 00:00:00 GMT",
            ),
            (
                "Wed, 01 Jan 2025 00:00:00 GMT",
                "Wednesday, 31-Dec-75 00:00:00 GMT",
                "Wed, 31 Dec 1975 00:00:00 GMT",
            ),
            (
                "Wed, 01 Jan 2025 00:00:00 GMT",
                "Sunday, 06-Nov-94 08:49:37 GMT",
                "Sun, 06 Nov 1994 08:49:37 GMT",
            ),
            (
                "Fri, 01 Jan 1999 00:00:00 GMT",
                "Saturday, 01-Jan-05 00:00:00 GMT",
                "Sat, 01 Jan 2005 00:00:00 GMT",
            ),
            (
                "Fri, 31 Dec 1999 23:59:59 GMT",
                "Saturday, 01-Jan-00 00:00:00 GMT",
                "Sat, 01 Jan 2000 00:00:00 GMT",
            ),
            (
                "Wed, 01 Jan 2025 00:00:00 GMT",
                "Tuesday, 31-Dec-24 23:59:59 GMT",
                "Tue, 31 Dec 2024 23:59:59 GMT",
            ),
            (
                "Thu, 01 Jan 2099 00:00:00 GMT",
                "Friday, 01-Jan-10 00:00:00 GMT",
                "Wed, 01 Jan 2110 00:00:00 GMT",
            ),
            (
                "Tue, 01 Jan 2058 00:00:00 GMT",
                "Tuesday, 29-Feb-00 00:00:00 GMT",
                "Tue, 29 Feb 2000 00:00:00 GMT",
            ),
        ];
        for (now, form, date) in cases {
            assert_eq!(parse(form, at(now)), Some(at(date)), "{form} in {now}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        let now = at("Wed, 01 Jan 2025 00:00:00 GMT");
        for text in [
            "",
            "-",
            "-5",
            "Sunday, --",
            "Sunday, 06-Nov- 08:49:37 GMT",
            "Sunday, 06-Nov-+4 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 31-Feb-25 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 CET",
            "Sunday, 06-Nov-94 08:49:37",
            "Sonntag, 06-Nov-94 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Sun, 06 Nov 1994 23:59:61 GMT",
            "Sun, 06 Nov 1994 23:59:600 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-ä4 08:49:37 GMT",
        ] {
            assert_eq!(parse(text, now), None, "{text}");
        }
    }

    /// `httpdate` alone panics at both.
    #[test]
    fn what_four_digits_cannot_say_is_said_as_the_nearest_that_they_can() {
        assert_eq!(
            http_date_value(SystemTime::UNIX_EPOCH - Duration::from_secs(1)),
            "Thu, 01 Jan 1970 00:00:00 GMT"
        );
        for late in [LAST, LAST + Duration::from_secs(1), YEAR * 20_000] {
            assert_eq!(
                http_date_value(SystemTime::UNIX_EPOCH + late),
                "Fri, 31 Dec 9999 23:59:59 GMT"
            );
        }
    }

    #[test]
    fn a_clock_at_the_ends_of_time_is_harmless() {
        let ends = [
            SystemTime::UNIX_EPOCH - YEAR,
            SystemTime::UNIX_EPOCH,
            SystemTime::UNIX_EPOCH + YEAR * 20_000,
        ];
        for now in ends {
            let _ = parse("Sunday, 06-Nov-94 08:49:37 GMT", now);
        }
        assert!(parse("Fri, 31 Dec 9999 23:59:59 GMT", SystemTime::UNIX_EPOCH).is_some());
    }
}
