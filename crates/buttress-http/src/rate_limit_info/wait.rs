//! How long the sender asks to be left alone, said in so many words.

use std::time::Duration;

use http::HeaderMap;

use super::{glance::Glance, sender::Sender};
use crate::{Pushback, RetryAfter, RetryInfo, seconds::seconds};

/// Where a wait was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A field of milliseconds: `retry-after-ms`, `x-ms-retry-after-ms`, `x-amz-retry-after`.
    RetryAfterMs,

    /// `Retry-After`, in any of its forms.
    RetryAfter,

    /// The reset of a limit that is used up.
    RateLimit,

    /// gRPC's `grpc-retry-pushback-ms`.
    Pushback,

    /// gRPC's `google.rpc.RetryInfo`.
    RetryInfo,

    /// The body.
    Body,

    /// Nowhere in the response: it is what the vendor's documentation asks for.
    Vendor,
}

/// In the order in which the Azure SDKs read them; the first that makes sense counts.
static MILLISECONDS: [&str; 3] = ["retry-after-ms", "x-ms-retry-after-ms", "x-amz-retry-after"];

static SHOULD_RETRY: [&str; 2] = ["x-should-retry", "stripe-should-retry"];

/// Does it say anything? Zero is said for fractions that were cut off, for what is not known, and by clocks that are
/// behind, so whatever says more goes before it. gRPC's zero is exact.
pub(super) fn tells(&(wait, source): &(Duration, Source)) -> bool {
    !wait.is_zero() || matches!(source, Source::Pushback | Source::RetryInfo)
}

/// A wait in the header fields of an answer over HTTP.
pub(super) fn of_http(
    headers: &HeaderMap,
    glance: &Glance<'_>,
    sender: Sender,
) -> Option<(Duration, Source)> {
    let mut milliseconds = MILLISECONDS
        .iter()
        .filter_map(|name| seconds(glance.first(name)?))
        .map(|number| (sender.left_of(milliseconds(number)), Source::RetryAfterMs));
    let retry_after = || {
        let heard = RetryAfter::from_headers(headers, sender.now())?;
        let wait = match heard {
            RetryAfter::Delay(delay) => sender.left_of(delay),
            RetryAfter::At(_) => heard.delay_from(sender.now()),
        };
        Some((wait, Source::RetryAfter))
    };
    // Mostly the first word is the only one.
    let first = milliseconds.next().or_else(retry_after)?;
    if tells(&first) {
        return Some(first);
    }
    let finer = milliseconds.find(tells);
    finer
        .or_else(|| retry_after().filter(tells))
        .or(Some(first))
}

/// A wait in the headers or trailers of an answer over gRPC.
pub(super) fn of_grpc(headers: &HeaderMap) -> Option<(Duration, Source)> {
    let pushback = Pushback::from_headers(headers).and_then(Pushback::delay);
    pushback.map(|delay| (delay, Source::Pushback)).or_else(|| {
        let info = RetryInfo::from_headers(headers)?;
        Some((info.retry_delay(), Source::RetryInfo))
    })
}

/// Does the sender say whether a retry makes sense?
pub(super) fn should_retry(headers: &HeaderMap, glance: &Glance<'_>) -> Option<bool> {
    let said = SHOULD_RETRY.iter().find_map(|name| {
        let text = glance.first(name)?;
        let yes = text.eq_ignore_ascii_case("true");
        (yes || text.eq_ignore_ascii_case("false")).then_some(yes)
    });
    said.or_else(|| {
        let pushback = glance.grpc.then(|| Pushback::from_headers(headers))?;
        (pushback == Some(Pushback::Never)).then_some(false)
    })
}

/// So many thousandths, of what was read as seconds.
pub(super) fn milliseconds(number: Duration) -> Duration {
    // Rounded up, so that nobody comes back too early.
    let nanos = number.as_nanos().div_ceil(1_000);
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    // The remainder of a billion fits.
    let rest = Duration::from_nanos((nanos % 1_000_000_000) as u64);
    Duration::from_secs(seconds)
        .saturating_add(rest)
        .min(RetryAfter::MAX)
}

#[cfg(test)]
mod tests {
    use super::{super::glance::is_of_waits, *};

    /// A name with a capital in it would never be found, or panic.
    #[test]
    fn every_name_can_be_looked_up() {
        for name in MILLISECONDS.iter().chain(&SHOULD_RETRY) {
            assert_eq!(http::HeaderName::from_static(name).as_str(), *name);
            assert!(is_of_waits(name), "{name} is not looked for at a glance");
        }
    }

    #[test]
    fn thousandths_are_rounded_up_and_clamped() {
        assert_eq!(
            milliseconds(Duration::from_secs(1_250)),
            Duration::from_millis(1_250)
        );
        assert_eq!(
            milliseconds(Duration::from_nanos(1)),
            Duration::from_nanos(1)
        );
        assert_eq!(milliseconds(Duration::MAX), RetryAfter::MAX);
    }
}
