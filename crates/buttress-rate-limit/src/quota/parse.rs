use std::{fmt, str::FromStr, time::Duration};

use buttress_core::ConfigError;

use super::Quota;

const EXPECTED: &str = "`<count>/<period>[ burst <burst>]`, such as `10/s` or `100/min burst 20`";

/// Names of units, with their nanoseconds. `Display` uses the first name of the largest unit that fits.
const UNITS: [(&[&str], u64); 9] = [
    (&["y", "year", "years"], 365 * 86_400 * 1_000_000_000),
    (&["w", "week", "weeks"], 7 * 86_400 * 1_000_000_000),
    (&["d", "day", "days"], 86_400 * 1_000_000_000),
    (&["h", "hour", "hours", "hr"], 3_600 * 1_000_000_000),
    (
        &["min", "m", "minute", "minutes", "mins"],
        60 * 1_000_000_000,
    ),
    (&["s", "sec", "second", "seconds", "secs"], 1_000_000_000),
    (&["ms", "millisecond", "milliseconds"], 1_000_000),
    (&["us", "µs", "microsecond", "microseconds"], 1_000),
    (&["ns", "nanosecond", "nanoseconds"], 1),
];

impl FromStr for Quota {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let malformed = || ConfigError::new("quota", shortened(text), EXPECTED);

        let (count, rest) = text.split_once('/').ok_or_else(malformed)?;
        let mut words = rest.split_whitespace();
        let period = words.next().and_then(period).ok_or_else(malformed)?;
        let mut quota = Self::per(number(count.trim()).ok_or_else(malformed)?, period);
        match (words.next(), words.next(), words.next()) {
            (None, ..) => {}
            (Some("burst"), Some(burst), None) => {
                quota = quota.burst(number(burst).ok_or_else(malformed)?);
            }
            _ => return Err(malformed()),
        }
        quota.build()
    }
}

impl TryFrom<&str> for Quota {
    type Error = ConfigError;

    fn try_from(text: &str) -> Result<Self, ConfigError> {
        text.parse()
    }
}

/// The form that [`FromStr`] reads; the burst is left out where it is the count.
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.period_nanos().get();
        write!(f, "{}/", self.count)?;
        if let Some((names, unit)) = UNITS.iter().find(|(_, unit)| nanos.is_multiple_of(*unit)) {
            if nanos != *unit {
                write!(f, "{}", nanos / unit)?;
            }
            f.write_str(names.first().unwrap_or(&"ns"))?;
        }
        if self.burst != self.count {
            write!(f, " burst {}", self.burst)?;
        }
        Ok(())
    }
}

/// `s`, `15min`.
fn period(text: &str) -> Option<Duration> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (factor, unit) = text.split_at(digits);
    let factor = if factor.is_empty() {
        1
    } else {
        number(factor)?
    };
    let (_, nanos) = UNITS.iter().find(|(names, _)| names.contains(&unit))?;
    nanos.checked_mul(factor).map(Duration::from_nanos)
}

/// Digits, which may be grouped: `1_000`.
fn number(text: &str) -> Option<u64> {
    let grouped = text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '_');
    if !grouped {
        return None;
    }
    text.chars()
        .filter_map(|c| c.to_digit(10))
        .try_fold(0_u64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(u64::from(digit))
        })
}

/// Enough of a text to recognise it in an error.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().nth(MOST).is_none() {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        let cases = [
            ("10/s", Quota::per_second(10)),
            ("100/min burst 20", Quota::per_minute(100).burst(20)),
            ("5/15min", Quota::per(5, Duration::from_secs(900))),
            (
                " 1_000 / 2hours  burst  1 ",
                Quota::per(1_000, Duration::from_secs(7_200)).burst(1),
            ),
            ("1/year", Quota::per(1, Duration::from_secs(365 * 86_400))),
            ("1/250ms", Quota::per(1, Duration::from_millis(250))),
        ];
        for (text, quota) in cases {
            assert_eq!(text.parse::<Quota>(), quota.build(), "{text}");
        }
    }

    #[test]
    fn everything_else_is_an_error_that_shows_it() {
        let long = "9".repeat(1_000_000);
        for text in [
            "",
            "/",
            "10",
            "10/",
            "/s",
            "10/fortnight",
            "-1/s",
            "+1/s",
            "1.5/s",
            "_/s",
            "10/s burst",
            "10/s burst x",
            "10/s burst 20 30",
            "10/s bursts 20",
            "10/99999999999999999999s",
            "99999999999999999999/s",
            "1/s\0",
            "１/s",
            &long,
        ] {
            let error = text.parse::<Quota>().unwrap_err();
            assert_eq!(error.field(), "quota", "{text}");
            assert!(error.value().chars().count() <= 61);
            assert!(error.expected().contains("such as"));
        }
        assert_eq!("0/s".parse::<Quota>().unwrap_err().field(), "count");
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read(count in 1_u64..=1_000_000, nanos in 1_u64..=u64::MAX >> 3, burst in 1_u64..=100) {
            if let Ok(quota) = Quota::per(count, Duration::from_nanos(nanos)).burst(burst).build() {
                prop_assert_eq!(quota.to_string().parse(), Ok(quota));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = text.parse::<Quota>();
        }
    }
}
