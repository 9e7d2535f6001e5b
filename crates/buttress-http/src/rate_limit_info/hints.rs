use std::{sync::Arc, time::Duration};

use buttress_core::ConfigError;

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

/// Rows that the user adds come before the vendors'.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct BodyHintsBuilder {
    own: Own,
}

#[derive(Clone, Debug, Default)]
struct Own {
    means: Vec<(Sign<String>, Cause)>,
    waits: Vec<(String, WaitUnit)>,
    without_vendors: bool,
}

/// By what a body is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign<T> {
    /// A member that holds a code holds this one.
    Code(T),
    /// A string has this in it, in lower case.
    Phrase(T),
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

/// Names of members that hold codes, without case.
const CODES: [&str; 6] = ["code", "type", "status", "reason", "__type", "error"];

#[rustfmt::skip]
static MEANS: &[(Sign<&str>, Cause)] = &[
    // No wait refills these.
    (Sign::Code("insufficient_quota"), Cause::Billing),          // OpenAI
    (Sign::Code("billing_hard_limit_reached"), Cause::Billing),  // OpenAI
    (Sign::Code("billing_not_active"), Cause::Billing),          // OpenAI
    (Sign::Code("credit_balance_exhausted"), Cause::Billing),    // OpenAI
    (Sign::Code("billing_error"), Cause::Billing),               // Anthropic
    (Sign::Code("enforced_spend_limit_reached"), Cause::Billing), // Anthropic
    (Sign::Code("creditsdepleted"), Cause::Billing),             // X
    // The provider, or whoever stands behind it.
    (Sign::Phrase("上游负载已饱和"), Cause::Overload),            // one-api: "the upstream is saturated"
    (Sign::Code("overloaded_error"), Cause::Overload),           // Anthropic
    (Sign::Code("server_overloaded"), Cause::Overload),
    // A day's quota, among limits that are per minute.
    (Sign::Phrase("perdayperproject"), Cause::Window),           // Google
    (Sign::Phrase("per day"), Cause::Window),
    // The caller's rate.
    (Sign::Code("rate_limit_error"), Cause::Burst),              // Anthropic
    (Sign::Code("rate_limit_exceeded"), Cause::Burst),           // OpenAI
    (Sign::Code("ratelimitreached"), Cause::Burst),              // Azure AI
    (Sign::Code("resource_exhausted"), Cause::Burst),            // Google
    (Sign::Code("slowdown"), Cause::Burst),                      // AWS, here and below
    (Sign::Code("throttling"), Cause::Burst),
    (Sign::Code("throttlingexception"), Cause::Burst),
    (Sign::Code("throttledexception"), Cause::Burst),
    (Sign::Code("requestthrottled"), Cause::Burst),
    (Sign::Code("requestthrottledexception"), Cause::Burst),
    (Sign::Code("requestlimitexceeded"), Cause::Burst),
    (Sign::Code("toomanyrequestsexception"), Cause::Burst),
    (Sign::Code("provisionedthroughputexceededexception"), Cause::Burst),
    (Sign::Code("bandwidthlimitexceeded"), Cause::Burst),
    (Sign::Code("limitexceededexception"), Cause::Burst),
    (Sign::Code("priorrequestnotcomplete"), Cause::Burst),
    (Sign::Code("ec2throttledexception"), Cause::Burst),
    (Sign::Phrase("rate limit"), Cause::Burst),                  // GitHub, SiliconFlow
    (Sign::Phrase("too many requests"), Cause::Burst),
];

static WAITS: &[(&str, WaitUnit)] = &[
    ("retryDelay", WaitUnit::Duration), // Google
    ("retry_after", WaitUnit::Seconds), // Discord
    ("retry_after_ms", WaitUnit::Millis),
];

impl BodyHints {
    /// What one builds a table of one's own with.
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

impl BodyHintsBuilder {
    /// A member `code`, `type`, `status`, `reason`, `__type` or `error` that holds this, or an XML
    /// element that does, whatever its case, means that. [`Cause::Unknown`] silences a vendor's row.
    pub fn code(mut self, code: impl Into<String>, cause: Cause) -> Self {
        self.own
            .means
            .push((Sign::Code(code.into().to_ascii_lowercase()), cause));
        self
    }

    /// Any string of the body, or a body that is no JSON, with this in it, whatever its ASCII case,
    /// means that.
    pub fn phrase(mut self, phrase: impl Into<String>, cause: Cause) -> Self {
        self.own
            .means
            .push((Sign::Phrase(phrase.into().to_ascii_lowercase()), cause));
        self
    }

    /// A member of this name, wherever it is, tells how long to wait.
    pub fn wait(mut self, member: impl Into<String>, unit: WaitUnit) -> Self {
        self.own.waits.push((member.into(), unit));
        self
    }

    /// Forgets the vendors' rows.
    pub fn without_vendors(mut self) -> Self {
        self.own.without_vendors = true;
        self
    }

    /// The table.
    ///
    /// # Errors
    ///
    /// Where a code, a phrase or a member's name is empty, and where there are more than 64 rows: each
    /// is looked for in every string of a body.
    pub fn build(self) -> Result<BodyHints, ConfigError> {
        for (sign, _) in &self.own.means {
            let (field, text) = match sign {
                Sign::Code(code) => ("code", code),
                Sign::Phrase(phrase) => ("phrase", phrase),
            };
            if text.is_empty() {
                return Err(ConfigError::new(field, "", "at least one character"));
            }
        }
        if self.own.waits.iter().any(|(member, _)| member.is_empty()) {
            return Err(ConfigError::new("wait", "", "the name of a member"));
        }
        let rows = self.own.means.len() + self.own.waits.len();
        if rows > 64 {
            return Err(ConfigError::new("rows", rows, "at most 64"));
        }
        Ok(BodyHints {
            own: Arc::new(self.own),
        })
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

    /// The table is compared with what was made lower case.
    #[test]
    fn the_table_is_in_lower_case() {
        for (sign, _) in MEANS {
            let (Sign::Code(text) | Sign::Phrase(text)) = sign;
            assert_eq!(*text, text.to_ascii_lowercase());
        }
    }

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
