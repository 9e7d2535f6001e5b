//! Decimal numbers of seconds, as fields and bodies have them.

use std::time::Duration;

/// `1*DIGIT [ "." 1*DIGIT ]`, saturating.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = match text.split_once('.') {
        None => (text, None),
        Some((whole, fraction)) => (whole, Some(fraction)),
    };
    let nanos = fraction.map_or(Some(0), nanos)?;
    Some(Duration::from_secs(decimal(whole)?).saturating_add(Duration::from_nanos(nanos)))
}

/// One digit at least; saturating.
pub(crate) fn decimal(digits: &str) -> Option<u64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_rounded_up_and_overflow_saturates() {
        let cases = [
            ("0", Some(Duration::ZERO)),
            ("1.5", Some(Duration::from_millis(1_500))),
            ("0.0000000001", Some(Duration::from_nanos(1))),
            ("0.9999999999", Some(Duration::from_secs(1))),
            ("99999999999999999999", Some(Duration::from_secs(u64::MAX))),
            ("99999999999999999999.9999999999", Some(Duration::MAX)),
            ("", None),
            (".5", None),
            ("5.", None),
            ("-1", None),
            ("1e3", None),
            ("1.2.3", None),
        ];
        for (text, span) in cases {
            assert_eq!(seconds(text), span, "{text}");
        }
    }
}
