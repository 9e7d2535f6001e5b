use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

use crate::{decimal::Decimal, http_date, seconds::seconds};

/// What a `Retry-After` field says (RFC 9110 §10.2.3).
///
/// No wait is longer than [`RetryAfter::MAX`]; what to make of an hour is the reader's policy.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use http::HeaderValue;
/// use buttress_http::{RetryAfter, retry_after_value};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
/// let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
/// let heard = RetryAfter::parse(&date, now).unwrap();
/// assert_eq!(heard.delay_from(now), Duration::from_secs(7));
///
/// // Said, it is rounded up: "0" would invite the caller to spin.
/// assert_eq!(retry_after_value(Duration::from_millis(1)), "1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetryAfter {
    /// This long after the response was received.
    Delay(Duration),

    /// Not before this date, on the sender's clock.
    At(SystemTime),
}

impl RetryAfter {
    /// The longest wait that is heard or said: 2³¹ s, some 68 years, which is also where RFC 9111
    /// §1.2.2 lets a delta of seconds end. More is clamped to it.
    pub const MAX: Duration = Duration::from_secs(1 << 31);

    /// Reads one value: whole seconds, an HTTP date in any of its three forms, or the fractional
    /// seconds (`2.0`) that are seen in the wild. `None` for anything else, such as a negative number.
    ///
    /// `now` decides the century of RFC 850's two-digit years (RFC 9110 §5.6.7): a date that appears to
    /// be more than 50 years ahead is past.
    #[must_use]
    pub fn parse(value: &HeaderValue, now: SystemTime) -> Option<Self> {
        let text = value.to_str().ok()?.trim_matches([' ', '\t']);
        match seconds(text) {
            Some(delay) => Some(Self::Delay(delay.min(Self::MAX))),
            None => http_date::parse(text, now).map(Self::At),
        }
    }

    /// Reads a message's `Retry-After`. Where there are several, against the RFC, the longest wait of
    /// those that can be read is meant: whoever sent it asked not to be called earlier.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap, now: SystemTime) -> Option<Self> {
        headers
            .get_all(RETRY_AFTER)
            .iter()
            .filter_map(|value| Self::parse(value, now))
            .max_by_key(|heard| heard.delay_from(now))
    }

    /// How long to wait from `now`: zero for a date that is past, at most [`RetryAfter::MAX`].
    #[must_use]
    pub fn delay_from(&self, now: SystemTime) -> Duration {
        let wait = match *self {
            Self::Delay(delay) => delay,
            Self::At(date) => http_date::ahead_of(date, now),
        };
        wait.min(Self::MAX)
    }
}

/// The whole seconds to say for a `wait`: rounded up, at least 1, at most [`RetryAfter::MAX`].
///
/// A caller that is told `0` for a sub-second wait spins.
#[must_use]
pub fn retry_after_seconds(wait: Duration) -> u64 {
    seconds_up(wait).clamp(1, RetryAfter::MAX.as_secs())
}

/// [`retry_after_seconds`] as a header's value.
#[must_use]
pub fn retry_after_value(wait: Duration) -> HeaderValue {
    Decimal::of(retry_after_seconds(wait)).into_header_value()
}

/// Whole seconds, rounded up.
pub(crate) fn seconds_up(span: Duration) -> u64 {
    span.as_secs()
        .saturating_add(u64::from(span.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Thursday, 9 October 2025, 12:00:00.
    const NOW: Duration = Duration::from_secs(1_760_011_200);

    /// Until Monday, 1 January 9900.
    const BEFORE_9900: Duration = Duration::from_secs(250_246_627_200);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + NOW
    }

    fn wait(value: &str) -> Option<Duration> {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        RetryAfter::parse(&value, now()).map(|heard| heard.delay_from(now()))
    }

    #[test]
    fn what_is_heard() {
        let seconds = Duration::from_secs;
        let cases = [
            ("0", Some(seconds(0))),
            ("120", Some(seconds(120))),
            (" 120\t", Some(seconds(120))),
            ("007", Some(seconds(7))),
            // Shopify's, and others.
            ("2.0", Some(seconds(2))),
            ("0.25", Some(Duration::from_millis(250))),
            ("0.0000000001", Some(Duration::from_nanos(1))),
            ("0.9999999991", Some(seconds(1))),
            ("1.999999999", Some(Duration::new(1, 999_999_999))),
            ("Thu, 09 Oct 2025 12:00:30 GMT", Some(seconds(30))),
            ("Thursday, 09-Oct-25 12:00:30 GMT", Some(seconds(30))),
            ("Thu Oct  9 12:00:30 2025", Some(seconds(30))),
            // Past, so now.
            ("Thu, 09 Oct 2025 11:59:59 GMT", Some(seconds(0))),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(seconds(0))),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(seconds(0))),
            // Ahead, although `httpdate` has it in 1970.
            (
                "Wednesday, 01-Jan-70 00:00:00 GMT",
                Some(seconds(1_395_748_800)),
            ),
            // Absurd.
            ("2147483648", Some(RetryAfter::MAX)),
            ("2147483648.5", Some(RetryAfter::MAX)),
            ("99999999999999999999999999999999", Some(RetryAfter::MAX)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(RetryAfter::MAX)),
            // Nothing.
            ("", None),
            (" ", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("0x10", None),
            ("2.", None),
            (".5", None),
            (".", None),
            ("1.2.3", None),
            ("1.-5", None),
            ("1.0000000000-", None),
            ("1,5", None),
            ("5, 10", None),
            ("NaN", None),
            ("inf", None),
            ("soon", None),
            ("٣", None),
            ("2025-10-09T12:00:30Z", None),
            ("Thu, 09 Oct 2025 12:00:30 CET", None),
        ];
        for (value, expected) in cases {
            assert_eq!(wait(value), expected, "{value}");
        }
    }

    #[test]
    fn the_longest_of_several_is_meant() {
        let heard = |values: &[&str]| {
            let values = values
                .iter()
                .map(|value| (RETRY_AFTER, value.parse().unwrap()));
            let headers = HeaderMap::from_iter(values);
            RetryAfter::from_headers(&headers, now()).map(|heard| heard.delay_from(now()))
        };
        assert_eq!(heard(&[]), None);
        assert_eq!(heard(&["rubbish"]), None);
        assert_eq!(heard(&["5"]), Some(Duration::from_secs(5)));
        assert_eq!(
            heard(&["5", "60", "soon", "7"]),
            Some(Duration::from_secs(60))
        );
        assert_eq!(
            heard(&["5", "Thu, 09 Oct 2025 12:00:30 GMT"]),
            Some(Duration::from_secs(30))
        );
    }

    /// Truncated to 0, it made clients spin.
    #[test]
    fn a_sub_second_wait_is_not_said_as_0() {
        let cases = [
            (Duration::ZERO, 1),
            (Duration::from_nanos(1), 1),
            (Duration::from_secs(1), 1),
            (Duration::new(1, 1), 2),
            (Duration::from_millis(59_999), 60),
            (Duration::MAX, 1 << 31),
        ];
        for (wait, seconds) in cases {
            assert_eq!(retry_after_seconds(wait), seconds, "{wait:?}");
            assert_eq!(retry_after_value(wait), seconds.to_string());
        }
    }

    #[test]
    fn a_hand_made_value_is_clamped_too() {
        assert_eq!(
            RetryAfter::Delay(Duration::MAX).delay_from(now()),
            RetryAfter::MAX
        );
    }

    proptest! {
        /// Never earlier than meant, never a second later, and at least one.
        #[test]
        fn what_is_said_is_heard(wait in (0..1_u64 << 31, 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n))) {
            let heard = RetryAfter::parse(&retry_after_value(wait), now()).unwrap().delay_from(now());
            prop_assert!(heard >= wait);
            prop_assert!(heard < wait + Duration::from_secs(1) || heard == Duration::from_secs(1));
        }

        #[test]
        fn every_date_is_heard_in_every_form(seconds in 0..253_402_300_800_u64, now in 0..253_402_300_800_u64) {
            let (date, now) = (SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), SystemTime::UNIX_EPOCH + Duration::from_secs(now));
            let imf = httpdate::fmt_http_date(date);
            let parts: Vec<&str> = imf.split([' ', ',']).filter(|part| !part.is_empty()).collect();
            let [weekday, day, month, year, time, _] = parts[..] else { panic!("{imf}") };
            let asctime = format!("{weekday} {month} {:>2} {time} {year}", day.trim_start_matches('0'));
            let parse = |text: &str| RetryAfter::parse(&text.parse().unwrap(), now);
            prop_assert_eq!(parse(&imf), Some(RetryAfter::At(date)));
            prop_assert_eq!(parse(&asctime), Some(RetryAfter::At(date)));

            // Two exceptions: 29 February of a year that only other centuries have, and the year 10000,
            // which no HTTP date can name.
            let leap_century = (month, day) == ("Feb", "29") && year.ends_with("00");
            if leap_century || now >= SystemTime::UNIX_EPOCH + BEFORE_9900 {
                return Ok(());
            }
            let rfc850 = format!("Monday, {day}-{month}-{} {time} GMT", &year[2..]);
            if let Some(heard) = parse(&rfc850) {
                let RetryAfter::At(heard) = heard else { panic!("{heard:?}") };
                let fifty_years = Duration::from_secs(50 * 31_556_952);
                prop_assert!(heard.duration_since(now).unwrap_or_default() <= fifty_years);
                prop_assert!(now.duration_since(heard).unwrap_or_default() <= fifty_years + Duration::from_secs(2 * 86_400));
            }
        }

        #[test]
        fn no_bytes_are_a_panic(bytes: Vec<u8>, seconds: u32) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = RetryAfter::parse(&value, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into()));
            }
        }
    }
}
