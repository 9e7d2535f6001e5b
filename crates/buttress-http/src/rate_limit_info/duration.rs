use std::time::Duration;

use crate::seconds::seconds;

/// Reads a span with units: `6m0s`, `2m59.56s`, `12ms`, `1d2h`, and Google's `30s`. `None` for what is
/// none, for a number without a unit, and for units that do not fall.
pub(super) fn parse(text: &str) -> Option<Duration> {
    if text.len() > LONGEST {
        return None;
    }
    let mut rest = text;
    let mut span = Duration::ZERO;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        // From the greatest to the least, each at most once.
        let (_, per_second, seconds_each) = units.find(|(name, ..)| *name == unit)?;
        let part = seconds(number)?;
        span = span.saturating_add(part.saturating_mul(*seconds_each) / *per_second);
        rest = after;
    }
    (!text.is_empty()).then_some(span)
}

/// As long as `23h59m59.999999999s` and then some: what is longer is no span.
const LONGEST: usize = 48;

/// The unit, how many of it a second has, and how many seconds it has.
const UNITS: [(&str, u32, u32); 8] = [
    ("d", 1, 86_400),
    ("h", 1, 3_600),
    ("m", 1, 60),
    ("s", 1, 1),
    ("ms", 1_000, 1),
    ("us", 1_000_000, 1),
    ("µs", 1_000_000, 1),
    ("ns", 1_000_000_000, 1),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_seen_in_the_field() {
        let cases = [
            ("6m0s", Some(Duration::from_secs(360))),
            ("2m59.56s", Some(Duration::from_millis(179_560))),
            ("12ms", Some(Duration::from_millis(12))),
            ("1s", Some(Duration::from_secs(1))),
            ("30s", Some(Duration::from_secs(30))),
            ("17.5s", Some(Duration::from_millis(17_500))),
            ("0s", Some(Duration::ZERO)),
            ("1d2h3m4s5ms", Some(Duration::from_millis(93_784_005))),
            ("1.5h", Some(Duration::from_secs(5_400))),
            ("250us", Some(Duration::from_micros(250))),
            ("250µs", Some(Duration::from_micros(250))),
        ];
        for (text, span) in cases {
            assert_eq!(parse(text), span, "{text}");
        }
    }

    #[test]
    fn what_is_no_span() {
        for text in [
            "", "1", "s", "ms", "1x", "1s2m", "1s1s", "-1s", "+1s", "1 s", "1..5s", ".5s", "1S",
            "1sü", "1m2",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"1".repeat(49)), None);
        assert_eq!(
            parse(&format!("{}s", "9".repeat(47))),
            Some(Duration::from_secs(u64::MAX))
        );
        assert_eq!(parse(&format!("{}d", "9".repeat(47))), Some(Duration::MAX));
    }

    proptest! {
        /// humantime writes spans with spaces between the units; without them they are ours.
        #[test]
        fn spans_are_read_as_they_were_meant(seconds in 0..10_000_000_u64, milliseconds in 0..1_000_u32) {
            let span = Duration::from_secs(seconds) + Duration::from_millis(milliseconds.into());
            let (minutes, rest) = (span.as_secs() / 60, span.as_secs() % 60);
            let text = format!("{}h{}m{rest}.{milliseconds:03}s", minutes / 60, minutes % 60);
            prop_assert_eq!(parse(&text), Some(span));
            let text = format!("{}ms", span.as_millis());
            prop_assert_eq!(parse(&text), Some(span));
        }

        #[test]
        fn no_text_is_a_panic(text: String) {
            let _ = parse(&text);
        }

        #[test]
        fn no_text_of_these_letters_is_a_panic(text in "[0-9.dhmsuµn]{0,50}") {
            let _ = parse(&text);
        }
    }
}
