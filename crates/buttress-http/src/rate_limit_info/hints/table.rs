//! What the vendors' bodies say: a row each.

use super::WaitUnit;
use crate::rate_limit_info::verdict::Cause;

/// By what a body is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign<T> {
    /// A member that holds a code holds this one.
    Code(T),
    /// A string has this in it, in lower case.
    Phrase(T),
}

/// Names of members that hold codes, without case.
pub(super) const CODES: [&str; 6] = ["code", "type", "status", "reason", "__type", "error"];

#[rustfmt::skip]
pub(super) static MEANS: &[(Sign<&str>, Cause)] = &[
    // No wait refills these.
    (Sign::Code("insufficient_quota"), Cause::Billing),          // OpenAI
    (Sign::Code("billing_hard_limit_reached"), Cause::Billing),  // OpenAI
    (Sign::Code("billing_not_active"), Cause::Billing),          // OpenAI
    (Sign::Code("credit_balance_exhausted"), Cause::Billing),    // OpenAI
    (Sign::Code("billing_error"), Cause::Billing),               // Anthropic
    (Sign::Code("enforced_spend_limit_reached"), Cause::Billing), // Anthropic
    (Sign::Code("creditsdepleted"), Cause::Billing),             // X
    (Sign::Code("exceeded_current_quota_error"), Cause::Billing), // Moonshot
    (Sign::Phrase("insufficient balance"), Cause::Billing),      // Moonshot, Z.ai
    (Sign::Phrase("余额不足"), Cause::Billing),                   // Zhipu: "insufficient balance"
    // Nor does it make a request smaller.
    (Sign::Phrase("request too large for"), Cause::TooLarge),    // OpenAI
    // The provider, or whoever stands behind it.
    (Sign::Phrase("上游负载已饱和"), Cause::Overload),            // one-api: "the upstream is saturated"
    (Sign::Code("overloaded_error"), Cause::Overload),           // Anthropic
    (Sign::Code("server_overloaded"), Cause::Overload),
    (Sign::Code("engine_overloaded_error"), Cause::Overload),    // Moonshot
    // A day's quota, among limits that are per minute.
    (Sign::Phrase("perdayperproject"), Cause::Window),           // Google
    (Sign::Phrase("per day"), Cause::Window),
    // The caller's rate.
    (Sign::Code("rate_limit_error"), Cause::Burst),              // Anthropic
    (Sign::Code("rate_limit_exceeded"), Cause::Burst),           // OpenAI
    (Sign::Code("rate_limit_reached_error"), Cause::Burst),      // Moonshot
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

pub(super) static WAITS: &[(&str, WaitUnit)] = &[
    ("retryDelay", WaitUnit::Duration), // Google
    ("retry_after", WaitUnit::Seconds), // Discord
    ("retry_after_ms", WaitUnit::Millis),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The table is compared with what was made lower case.
    #[test]
    fn it_is_in_lower_case() {
        for (sign, _) in MEANS {
            let (Sign::Code(text) | Sign::Phrase(text)) = sign;
            assert_eq!(*text, text.to_ascii_lowercase());
        }
    }
}
