use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

use crate::{decimal::Decimal, http_date};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        match delay(text) {
            Some(delay) => Some(Self::Delay(delay)),
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

/// `1*DIGIT [ "." 1*DIGIT ]`, clamped.
fn delay(text: &str) -> Option<Duration> {
    let (whole, fraction) = match text.split_once('.') {
        None => (text, None),
        Some((whole, fraction)) => (whole, Some(fraction)),
    };
    let seconds = decimal(whole)?.min(RetryAfter::MAX.as_secs());
    let nanos = fraction.map_or(Some(0), nanos)?;
    Some((Duration::from_secs(seconds) + Duration::from_nanos(nanos)).min(RetryAfter::MAX))
}

/// One digit at least; saturating.
fn decimal(digits: &str) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.bytes().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

/// The fraction of a second, rounded up, so that nobody comes back too early.
fn nanos(fraction: &str) -> Option<u64> {
    let rest = decimal(
        fraction
            .get(9..)
            .filter(|rest| !rest.is_empty())
            .unwrap_or("0"),
    )?;
    let kept = fraction.get(..9).unwrap_or(fraction);
    let scale = 10_u64.pow(9_u32.saturating_sub(u32::try_from(kept.len()).ok()?));
    Some(decimal(kept)? * scale + u64::from(rest > 0))
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
