//! The age of a response (RFC 9111 §4.2.3, §5.1).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header::AGE};

use super::{Times, cache_control::delta_seconds, list::trim};

/// The greatest age that is said (RFC 9111 §1.2.2).
const MOST: u64 = 1 << 31;

/// The Age field: its first member, if that is a number of seconds; else there is none (§5.1).
pub(super) fn field(headers: &HeaderMap) -> Option<Duration> {
    let first = headers
        .get(AGE)?
        .as_bytes()
        .split(|byte| *byte == b',')
        .next()?;
    delta_seconds(trim(first)).map(|seconds| Duration::from_secs(seconds.into()))
}

/// How old the response was when it arrived: the `corrected_initial_age` of §4.2.3.
pub(super) fn on_arrival(headers: &HeaderMap, date: Option<SystemTime>, times: Times) -> Duration {
    // Date has whole seconds. Were the clock's fraction left, every response would be born up to a second old.
    let apparent = date.map_or(Duration::ZERO, |date| {
        Duration::from_secs(since(times.responded, date).as_secs())
    });
    let delay = since(times.responded, times.requested);
    let corrected = field(headers).unwrap_or_default().saturating_add(delay);
    apparent.max(corrected)
}

/// From one time to another: zero where the clock was set back in between.
pub(super) fn since(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

/// An age as the value of an Age field: whole seconds, rounded down, 2³¹ at most.
#[must_use]
pub fn age_value(age: Duration) -> HeaderValue {
    let mut digits = [0; 10];
    let mut at = digits.len();
    let mut rest = age.as_secs().min(MOST);
    for digit in digits.iter_mut().rev() {
        // The remainder is one digit.
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        at -= 1;
        if rest == 0 {
            break;
        }
    }
    let digits = digits.get(at..).unwrap_or_default();
    HeaderValue::from_bytes(digits).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&'static str]) -> Option<u64> {
        let headers = lines
            .iter()
            .map(|line| (AGE, HeaderValue::from_static(line)))
            .collect();
        field(&headers).map(|age| age.as_secs())
    }

    #[test]
    fn the_first_member_counts() {
        assert_eq!(read(&["7200"]), Some(7200));
        assert_eq!(read(&["7200, 0"]), Some(7200));
        assert_eq!(read(&["0,7200"]), Some(0));
        assert_eq!(read(&["0", "7200"]), Some(0));
        assert_eq!(read(&["7200", "0"]), Some(7200));
        assert_eq!(read(&["2147483649"]), Some(MOST));
    }

    #[test]
    fn what_is_no_number_of_seconds_is_ignored() {
        for odd in [
            "",
            "abc",
            "-7200",
            "7200.0",
            "7200;foo=bar",
            ", 7200",
            "\"7200\"",
            "7200 s",
        ] {
            assert_eq!(read(&[odd]), None, "{odd}");
        }
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn an_age_is_said_in_whole_seconds() {
        assert_eq!(age_value(Duration::ZERO), "0");
        assert_eq!(age_value(Duration::from_millis(10_999)), "10");
        assert_eq!(age_value(Duration::from_secs(MOST)), "2147483648");
        assert_eq!(age_value(Duration::MAX), "2147483648");
    }
}
