use std::time::Duration;

use buttress_http::{Head, Protocol};
use http::{HeaderMap, HeaderName, HeaderValue};

/// How long a call may take, all attempts and waits included, until the head of its answer: an extension of the request.
///
/// The earliest of it, of the [policy's](crate::RetryBuilder::total_timeout) and of gRPC's `grpc-timeout` counts.
///
/// ```
/// use std::time::Duration;
/// use buttress_retry::RequestTimeout;
///
/// let request = http::Request::get("https://example.com/")
///     .extension(RequestTimeout(Duration::from_secs(2)))
///     .body(())?;
/// # let _ = request;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestTimeout(pub Duration);

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What the request says, if it does.
pub(super) fn of(head: &Head, protocol: Protocol) -> Option<Duration> {
    let attached = head.extensions().get::<RequestTimeout>();
    let attached = attached.map(|RequestTimeout(timeout)| *timeout);
    let told = match protocol {
        Protocol::Http => None,
        _ => head.headers().get(GRPC_TIMEOUT).and_then(parse),
    };
    match (attached, told) {
        (Some(attached), Some(told)) => Some(attached.min(told)),
        (attached, told) => attached.or(told),
    }
}

/// Says what is left, unless the request says so itself, or less.
pub(super) fn rewrite(headers: &mut HeaderMap, left: Duration) {
    let told = headers.get(GRPC_TIMEOUT).and_then(parse);
    if told.is_none_or(|told| told > left) {
        headers.insert(GRPC_TIMEOUT, encode(left));
    }
}

/// One to eight digits and a unit (gRPC over HTTP/2, "Requests").
fn parse(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if !(1..=8).contains(&digits.len()) {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(number * 10 + digit)
    })?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// In the finest unit in which it has eight digits, rounded down: the server is not to work on for nobody.
fn encode(left: Duration) -> HeaderValue {
    const UNITS: [(u128, char); 6] = [
        (1, 'n'),
        (1_000, 'u'),
        (1_000_000, 'm'),
        (1_000_000_000, 'S'),
        (60_000_000_000, 'M'),
        (3_600_000_000_000, 'H'),
    ];
    const MOST: u128 = 99_999_999;

    let nanos = left.as_nanos().max(1);
    let fits = UNITS.into_iter().find(|(unit, _)| nanos / unit <= MOST);
    let text = match fits {
        Some((unit, letter)) => format!("{}{letter}", nanos / unit),
        // Eleven thousand years.
        None => format!("{MOST}H"),
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("99999999H"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_read() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let cases = [
            ("1H", ms(3_600_000)),
            ("2M", ms(120_000)),
            ("3S", ms(3_000)),
            ("250m", ms(250)),
            ("5000u", ms(5)),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("0m", ms(0)),
            ("", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("-1S", None),
            ("1.5S", None),
            ("123456789m", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(&HeaderValue::from_static(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_is_said() {
        let cases = [
            (Duration::ZERO, "1n"),
            (Duration::from_millis(99), "99000000n"),
            (Duration::from_millis(100), "100000u"),
            (Duration::from_secs(30), "30000000u"),
            (Duration::from_secs(3_600), "3600000m"),
            (Duration::from_secs(1_000_000), "1000000S"),
            (Duration::MAX, "99999999H"),
        ];
        for (left, text) in cases {
            assert_eq!(encode(left), text);
        }
    }

    #[test]
    fn the_earliest_counts() {
        let request = |timeout: &str, attached: Option<u64>| {
            let mut request = http::Request::new(());
            request
                .headers_mut()
                .insert(GRPC_TIMEOUT, timeout.parse().unwrap());
            if let Some(seconds) = attached {
                let attached = RequestTimeout(Duration::from_secs(seconds));
                request.extensions_mut().insert(attached);
            }
            request
        };
        let of = |request: http::Request<()>, protocol| of((&request).into(), protocol);
        let s = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(of(request("5S", None), Protocol::Grpc), s(5));
        assert_eq!(of(request("5S", None), Protocol::Http), None);
        assert_eq!(of(request("5S", Some(2)), Protocol::Grpc), s(2));
        assert_eq!(of(request("5S", Some(9)), Protocol::Grpc), s(5));
        assert_eq!(of(request("rubbish", Some(9)), Protocol::Grpc), s(9));
    }

    proptest! {
        #[test]
        fn what_is_said_is_not_more_than_what_is_left(nanos in 1_u64..) {
            let left = Duration::from_nanos(nanos);
            let heard = parse(&encode(left)).unwrap();
            prop_assert!(heard <= left);
            prop_assert!(left - heard <= left / 1_000);
        }
    }
}
