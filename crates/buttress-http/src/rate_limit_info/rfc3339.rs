use std::{
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use crate::seconds::{decimal, seconds};

/// Reads a date and time of RFC 3339 §5.6: `2026-11-22T12:00:00Z`, with a fraction of a second or an
/// offset if it likes. A leap second is the second after it.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    if text.len() > LONGEST || !text.is_ascii() {
        return None;
    }
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let (time, ahead, offset) = split_offset(time)?;

    let (year, month_day) = date.split_once('-')?;
    let (month, day) = month_day.split_once('-')?;
    let (year, month, day) = (
        number(year, 4, 0..=9_999)?,
        number(month, 2, 1..=12)?,
        number(day, 2, 1..=31)?,
    );
    if day > days_of_month(year, month) {
        return None;
    }

    let (hour, rest) = time.split_once(':')?;
    let (minute, second) = rest.split_once(':')?;
    let hour = number(hour, 2, 0..=23)?;
    let minute = number(minute, 2, 0..=59)?;
    let whole = second.split_once('.').map_or(second, |(whole, _)| whole);
    number(whole, 2, 0..=60)?;

    let day_time = Duration::from_secs(hour * 3_600 + minute * 60) + seconds(second)?;
    let local = Duration::from_secs(days_since_year_0(year, month, day) * 86_400) + day_time;
    // Reckoned from the year 0, so that nothing is negative until the end.
    let utc = match ahead {
        true => local.checked_sub(offset)?,
        false => local.checked_add(offset)?,
    };
    let epoch = Duration::from_secs(days_since_year_0(1970, 1, 1) * 86_400);
    match utc.checked_sub(epoch) {
        Some(after) => SystemTime::UNIX_EPOCH.checked_add(after),
        None => SystemTime::UNIX_EPOCH.checked_sub(epoch.checked_sub(utc)?),
    }
}

/// As long as `2026-11-22T12:00:00.123456789+00:00` and then some.
const LONGEST: usize = 40;

/// The time of day, whether its clock is ahead of UTC, and by how much it differs.
fn split_offset(time: &str) -> Option<(&str, bool, Duration)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, true, Duration::ZERO));
    }
    let (time, offset) = time.split_at(time.find(['+', '-'])?);
    let (ahead, offset) = match offset.strip_prefix('+') {
        Some(offset) => (true, offset),
        None => (false, offset.strip_prefix('-')?),
    };
    let (hours, minutes) = offset.split_once(':')?;
    let minutes = number(hours, 2, 0..=23)? * 60 + number(minutes, 2, 0..=59)?;
    Some((time, ahead, Duration::from_secs(minutes * 60)))
}

/// So many digits, and a number in the range.
fn number(digits: &str, count: usize, range: RangeInclusive<u64>) -> Option<u64> {
    let number = decimal(digits)?;
    (digits.len() == count && range.contains(&number)).then_some(number)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the first of January of the year 0, in the Gregorian calendar.
fn days_since_year_0(year: u64, month: u64, day: u64) -> u64 {
    let leap_days = year.div_ceil(4) - year.div_ceil(100) + year.div_ceil(400);
    let months: u64 = (1..month).map(|month| days_of_month(year, month)).sum();
    year * 365 + leap_days + months + day - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn the_forms() {
        let cases = [
            ("1970-01-01T00:00:00Z", at(0)),
            ("2025-10-09T12:00:00Z", at(1_760_011_200)),
            ("2025-10-09T12:00:00z", at(1_760_011_200)),
            ("2025-10-09t12:00:00Z", at(1_760_011_200)),
            ("2025-10-09 12:00:00Z", at(1_760_011_200)),
            ("2025-10-09T14:00:00+02:00", at(1_760_011_200)),
            ("2025-10-09T06:30:00-05:30", at(1_760_011_200)),
            ("2025-10-09T12:00:00-00:00", at(1_760_011_200)),
            ("2016-12-31T23:59:60Z", at(1_483_228_800)),
            ("9999-12-31T23:59:59Z", at(253_402_300_799)),
            ("9999-12-31T23:59:59-23:59", at(253_402_387_139)),
        ];
        for (text, date) in cases {
            assert_eq!(parse(text), date, "{text}");
        }
        let half = at(1_760_011_200).map(|date| date + Duration::from_millis(500));
        assert_eq!(parse("2025-10-09T12:00:00.5Z"), half);
        assert!(parse("0000-01-01T00:00:00Z").is_some());
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "T",
            "-1",
            "2025-10-09",
            "2025-10-09T12:00:00",
            "2025-10-09T12:00Z",
            "2025-10-09T12:00:00+0200",
            "2025-10-09T12:00:00+02:00Z",
            "2025-13-09T12:00:00Z",
            "2025-00-09T12:00:00Z",
            "2025-02-29T12:00:00Z",
            "1900-02-29T12:00:00Z",
            "2025-04-31T12:00:00Z",
            "2025-10-00T12:00:00Z",
            "2025-10-09T24:00:00Z",
            "2025-10-09T12:60:00Z",
            "2025-10-09T12:00:61Z",
            "2025-10-09T12:00:00.Z",
            "25-10-09T12:00:00Z",
            "2025-1-09T12:00:00Z",
            "+025-10-09T12:00:00Z",
            "0000-01-01T00:00:00+00:01",
            "2025-10-09T12:00:00Ä",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        /// humantime reads and writes UTC only.
        #[test]
        fn as_humantime_has_it(seconds in 0..253_402_300_800_u64, nanos in 0..1_000_000_000_u32) {
            let date = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
            let text = humantime::format_rfc3339(date).to_string();
            prop_assert_eq!(parse(&text), Some(date));
        }

        #[test]
        fn an_offset_is_taken_off(seconds in 172_800..253_402_000_000_u64, minutes in -1439..1440_i64) {
            let date = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let local = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.checked_add_signed(minutes * 60).unwrap());
            let text = humantime::format_rfc3339_seconds(local).to_string();
            let sign = if minutes < 0 { '-' } else { '+' };
            let offset = format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
            prop_assert_eq!(parse(&text.replace('Z', &offset)), Some(date));
        }

        #[test]
        fn no_text_is_a_panic(text: String) {
            let _ = parse(&text);
        }

        #[test]
        fn no_text_of_these_letters_is_a_panic(text in "[0-9]{1,4}-[0-9]{1,2}-[0-9]{1,2}[Tt ][0-9:.]{0,9}[-+Zz][0-9:]{0,6}") {
            let _ = parse(&text);
        }
    }
}
