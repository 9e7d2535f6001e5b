use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::RETRY_PUSHBACK;
use crate::decimal::Decimal;

/// What the server says about a retry in `grpc-retry-pushback-ms` (gRPC proposal A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pushback {
    /// Retry after exactly this long, in whole milliseconds.
    After(Duration),

    /// Do not retry: the value was negative, or no number.
    Never,
}

impl Pushback {
    /// Reads the value in a map of headers or of trailers; `None` where there is none. Of several values
    /// no sense can be made, so they mean [`Pushback::Never`].
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(RETRY_PUSHBACK).iter();
        match (values.next()?, values.next()) {
            (value, None) => Some(parse(value).map_or(Self::Never, Self::After)),
            (_, Some(_)) => Some(Self::Never),
        }
    }

    /// How long to wait, if a retry is welcome at all.
    #[must_use]
    pub const fn delay(self) -> Option<Duration> {
        match self {
            Self::After(delay) => Some(delay),
            Self::Never => None,
        }
    }
}

/// The specification's number is a signed one of 32 bits.
fn parse(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let milliseconds: i32 = text.parse().ok()?;
    Some(Duration::from_millis(milliseconds.unsigned_abs().into()))
}

/// Milliseconds, rounded up, at most what 32 signed bits hold.
pub(super) fn encode(delay: Duration) -> HeaderValue {
    let milliseconds = delay.as_nanos().div_ceil(1_000_000);
    let capped = i32::try_from(milliseconds).unwrap_or(i32::MAX);
    Decimal::of(capped.unsigned_abs().into()).into_header_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_or_malformed_means_do_not_retry() {
        let after = |milliseconds| Some(Pushback::After(Duration::from_millis(milliseconds)));
        let cases = [
            (&["0"][..], after(0)),
            (&["250"], after(250)),
            (&["2147483647"], after(2_147_483_647)),
            (&["2147483648"], Some(Pushback::Never)),
            (&["-1"], Some(Pushback::Never)),
            (&["+1"], Some(Pushback::Never)),
            (&["1.5"], Some(Pushback::Never)),
            (&["soon"], Some(Pushback::Never)),
            (&[""], Some(Pushback::Never)),
            (&["1", "1"], Some(Pushback::Never)),
            (&[], None),
        ];
        for (values, pushback) in cases {
            let headers = HeaderMap::from_iter(
                values
                    .iter()
                    .map(|value| (RETRY_PUSHBACK, value.parse().unwrap())),
            );
            // `from_iter` appends, so there may be several.
            assert_eq!(headers.len(), values.len());
            assert_eq!(Pushback::from_headers(&headers), pushback, "{values:?}");
        }
    }

    #[test]
    fn is_said_in_whole_milliseconds_rounded_up() {
        assert_eq!(encode(Duration::ZERO), "0");
        assert_eq!(encode(Duration::from_nanos(1)), "1");
        assert_eq!(encode(Duration::from_micros(1_500)), "2");
        assert_eq!(encode(Duration::MAX), "2147483647");
    }
}
