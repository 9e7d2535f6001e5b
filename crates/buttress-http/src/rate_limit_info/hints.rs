mod builder;
mod table;

use std::{sync::Arc, time::Duration};

pub use self::builder::BodyHintsBuilder;
use self::table::{CODES, MEANS, Sign, WAITS};
use super::{duration, verdict::Cause};
use crate::{RetryAfter, seconds::seconds};

/// What bodies say where header fields are silent: a table of codes, phrases and waits, the first row
/// that fits counts. [`BodyHints::default`] knows the vendors'.
///
/// ```
/// use buttress_http::rate_limit_info::{BodyHints, Cause, WaitUnit};
///
/// let hints = BodyHints::builder()
///     .code("plan_exhausted", Cause::Billing)
///     .phrase("try one of our other regions", Cause::Overload)
///     .wait("cooldown_ms", WaitUnit::Millis)
///     .build()?;
/// # Ok::<(), buttress_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BodyHints {
    /// The user's rows, and whether the vendors' follow.
    own: Arc<Own>,
}

#[derive(Clone, Debug, Default)]
struct Own {
    means: Vec<(Sign<String>, Cause)>,
    waits: Vec<(String, WaitUnit)>,
    without_vendors: bool,
}

/// How a member of a body tells a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitUnit {
    /// Seconds, a number with or without a fraction: `1.5`, `"30"`.
    Seconds,

    /// Milliseconds, the same way.
    Millis,

    /// A span with units: `"30s"`, `"1m2.5s"`.
    Duration,
}

impl BodyHints {
    /// Builds a table: the vendors' rows, and before them those that are added.
    pub fn builder() -> BodyHintsBuilder {
        BodyHintsBuilder {
            own: Own::default(),
        }
    }

    /// What a member of this name and value means, and how early in the table that stands: the earliest
    /// row of all members counts.
    pub(super) fn meaning(&self, member: &str, text: &str) -> Option<(usize, Cause)> {
        let code = CODES
            .iter()
            .any(|name| name.eq_ignore_ascii_case(member))
            .then(|| bare_code(text));
        self.find(text, |sign| {
            code.is_some_and(|code| code.eq_ignore_ascii_case(sign))
        })
    }

    /// What a text without members means: XML has its codes between tags.
    pub(super) fn meaning_of_text(&self, text: &str) -> Option<(usize, Cause)> {
        let lower = text.to_ascii_lowercase();
        self.find(text, |sign| {
            lower.match_indices(sign).any(|(at, _)| {
                lower.get(..at).is_some_and(|before| before.ends_with('>'))
                    && lower
                        .get(at + sign.len()..)
                        .is_some_and(|after| after.starts_with('<'))
            })
        })
    }

    /// What a code means that a header field tells.
    pub(super) fn meaning_of_code(code: &str) -> Option<Cause> {
        let code = bare_code(code);
        MEANS.iter().find_map(|(sign, cause)| match sign {
            Sign::Code(sign) if code.eq_ignore_ascii_case(sign) => Some(*cause),
            _ => None,
        })
    }

    fn find(&self, text: &str, is_code: impl Fn(&str) -> bool) -> Option<(usize, Cause)> {
        let lower = text.to_ascii_lowercase();
        let fits = |sign: Sign<&str>| match sign {
            Sign::Code(code) => is_code(code),
            Sign::Phrase(phrase) => lower.contains(phrase),
        };
        self.means()
            .enumerate()
            .find(|(_, (sign, _))| fits(*sign))
            .map(|(row, (_, cause))| (row, cause))
    }

    fn means(&self) -> impl Iterator<Item = (Sign<&str>, Cause)> {
        let own = self.own.means.iter().map(|(sign, cause)| {
            let sign = match sign {
                Sign::Code(code) => Sign::Code(code.as_str()),
                Sign::Phrase(phrase) => Sign::Phrase(phrase.as_str()),
            };
            (sign, *cause)
        });
        own.chain(self.vendors(MEANS).iter().copied())
    }

    /// The wait that a string tells, if a member of this name tells one.
    pub(super) fn wait(&self, member: &str, text: &str) -> Option<Duration> {
        let wait = match self.unit(member)? {
            WaitUnit::Seconds => seconds(text)?,
            WaitUnit::Millis => super::wait::milliseconds(seconds(text)?),
            WaitUnit::Duration => duration::parse(text)?,
        };
        Some(wait.min(RetryAfter::MAX))
    }

    /// The wait that a number tells, if a member of this name tells one.
    pub(super) fn wait_of_number(&self, member: &str, number: f64) -> Option<Duration> {
        let seconds = match self.unit(member)? {
            WaitUnit::Seconds => number,
            WaitUnit::Millis => number / 1_000.0,
            WaitUnit::Duration => return None,
        };
        // Of numbers that are none, the least is 0; what is beyond a `Duration` is beyond the clamp.
        let most = RetryAfter::MAX.as_secs_f64();
        (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds.min(most)).ok())?
    }

    fn unit(&self, member: &str) -> Option<WaitUnit> {
        let own = self
            .own
            .waits
            .iter()
            .map(|(name, unit)| (name.as_str(), *unit));
        own.chain(self.vendors(WAITS).iter().copied())
            .find_map(|(name, unit)| (name == member).then_some(unit))
    }

    fn vendors<T>(&self, table: &'static [T]) -> &'static [T] {
        if self.own.without_vendors { &[] } else { table }
    }
}

/// The vendors' table.
impl Default for BodyHints {
    fn default() -> Self {
        Self {
            own: Arc::default(),
        }
    }
}

/// AWS puts a namespace before it, and a URL behind it: `com.amazon#ThrottlingException:http://…`.
fn bare_code(code: &str) -> &str {
    let code = code.rsplit_once('#').map_or(code, |(_, code)| code);
    code.split_once(':').map_or(code, |(code, _)| code).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_rows_come_first() {
        let hints = BodyHints::builder()
            .code("Rate_Limit_Exceeded", Cause::Overload)
            .phrase("TOO MANY REQUESTS", Cause::Unknown)
            .wait("retryDelay", WaitUnit::Seconds)
            .build()
            .unwrap();
        let meaning =
            |hints: &BodyHints, member, text| hints.meaning(member, text).map(|(_, cause)| cause);
        assert_eq!(
            meaning(&hints, "code", "rate_limit_exceeded"),
            Some(Cause::Overload)
        );
        assert_eq!(
            meaning(&hints, "message", "Too many requests!"),
            Some(Cause::Unknown)
        );
        assert_eq!(
            meaning(&hints, "code", "insufficient_quota"),
            Some(Cause::Billing)
        );
        assert_eq!(hints.wait("retryDelay", "5"), Some(Duration::from_secs(5)));
        assert_eq!(hints.wait("retryDelay", "5s"), None);

        let bare = BodyHints::builder().without_vendors().build().unwrap();
        assert_eq!(meaning(&bare, "code", "insufficient_quota"), None);
        assert_eq!(bare.wait("retry_after", "5"), None);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let builder = BodyHints::builder;
        let field = |builder: BodyHintsBuilder| builder.build().unwrap_err().field();
        assert_eq!(field(builder().code("", Cause::Billing)), "code");
        assert_eq!(field(builder().phrase("", Cause::Billing)), "phrase");
        assert_eq!(field(builder().wait("", WaitUnit::Seconds)), "wait");
        let many = |count| {
            (0..count).fold(builder(), |builder, n| {
                builder.code(format!("c{n}"), Cause::Burst)
            })
        };
        assert!(many(64).build().is_ok());
        assert_eq!(field(many(65)), "rows");
    }

    #[test]
    fn waits_have_bounds() {
        let hints = BodyHints::default();
        let cases = [
            (1.5, Some(Duration::from_millis(1_500))),
            (0.0, Some(Duration::ZERO)),
            (-0.0, Some(Duration::ZERO)),
            (-1.0, None),
            (f64::NAN, None),
            (f64::INFINITY, Some(RetryAfter::MAX)),
            (1e300, Some(RetryAfter::MAX)),
        ];
        for (number, wait) in cases {
            assert_eq!(
                hints.wait_of_number("retry_after", number),
                wait,
                "{number}"
            );
        }
        assert_eq!(
            hints.wait_of_number("retry_after_ms", 250.0),
            Some(Duration::from_millis(250))
        );
        assert_eq!(hints.wait_of_number("retryDelay", 30.0), None);
        assert_eq!(hints.wait_of_number("other", 30.0), None);
        assert_eq!(
            hints.wait("retry_after", "99999999999999999999"),
            Some(RetryAfter::MAX)
        );
    }
}
