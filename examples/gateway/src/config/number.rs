use std::{fmt, ops::RangeInclusive};

use serde::{Deserializer, de};

/// A whole number out of `range`, for serde's `deserialize_with`. What serde itself expects is one of Rust's types, which tells an
/// operator nothing. `unit` follows the range where an error tells of it.
pub(super) fn whole<'de, N, D>(
    deserializer: D,
    range: RangeInclusive<N>,
    unit: &'static str,
) -> Result<N, D::Error>
where
    N: Number,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(Whole { range, unit })
}

pub(super) trait Number: Copy + PartialOrd + fmt::Display + TryFrom<i128> {}

impl<N: Copy + PartialOrd + fmt::Display + TryFrom<i128>> Number for N {}

struct Whole<N> {
    range: RangeInclusive<N>,
    unit: &'static str,
}

impl<N: Number> Whole<N> {
    fn of<E: de::Error>(&self, number: i128) -> Result<N, E> {
        let fits = N::try_from(number).ok();
        fits.filter(|number| self.range.contains(number))
            .ok_or_else(|| {
                let (least, most) = (self.range.start(), self.range.end());
                let unit = self.unit;
                E::custom(format_args!(
                    "`{number}` given, expected {least} to {most}{unit}"
                ))
            })
    }
}

impl<N: Number> de::Visitor<'_> for Whole<N> {
    type Value = N;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (self.range.start(), self.range.end());
        write!(f, "a whole number, {least} to {most}{}", self.unit)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<N, E> {
        self.of(number.into())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<N, E> {
        self.of(number.into())
    }

    fn visit_i128<E: de::Error>(self, number: i128) -> Result<N, E> {
        self.of(number)
    }
}
