//! Vendors' rate-limit fields: a row each.

use std::time::Duration;

use super::{
    glance::Glance,
    limit::{LimitInfo, LimitUnit},
    limits::Limits,
    sender::Sender,
};
use crate::{
    RetryAfter,
    seconds::{decimal, seconds},
};

/// One limit, and the names of the fields that tell of it. `""` where a dialect has none.
struct Dialect {
    name: &'static str,
    unit: LimitUnit,
    limit: &'static str,
    remaining: &'static str,
    used: &'static str,
    /// The more exact one first. How it is written is told apart by [`Sender::reset`].
    reset: [&'static str; 2],
}

/// A limit of requests, as most have it.
const fn requests(limit: &'static str, remaining: &'static str, reset: &'static str) -> Dialect {
    Dialect {
        name: "",
        unit: LimitUnit::Requests,
        limit,
        remaining,
        used: "",
        reset: [reset, ""],
    }
}

impl Dialect {
    const fn named(self, name: &'static str, unit: LimitUnit) -> Self {
        Self { name, unit, ..self }
    }
}

#[rustfmt::skip]
static DIALECTS: &[Dialect] = &[
    // Drafts 00 to 06, GitLab (epoch), Docker Hub (`100;w=21600`).
    requests("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"),
    // GitHub, Discord, Reddit and the rest of the world.
    Dialect {
        used: "x-ratelimit-used",
        reset: ["x-ratelimit-reset-after", "x-ratelimit-reset"],
        ..requests("x-ratelimit-limit", "x-ratelimit-remaining", "")
    },
    // X, Okta.
    requests("x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"),
    // OpenAI, Groq, Azure OpenAI, which has been seen with a hyphen more in the reset's name.
    Dialect {
        reset: ["x-ratelimit-reset-requests", "x-rate-limit-reset-requests"],
        ..requests("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "").named("requests", LimitUnit::Requests)
    },
    Dialect {
        reset: ["x-ratelimit-reset-tokens", "x-rate-limit-reset-tokens"],
        ..requests("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "").named("tokens", LimitUnit::Tokens)
    },
    requests("x-ratelimit-limit-project-tokens", "x-ratelimit-remaining-project-tokens", "x-ratelimit-reset-project-tokens").named("project-tokens", LimitUnit::Tokens),
    // Cerebras, and Mistral without the reset.
    requests("x-ratelimit-limit-requests-day", "x-ratelimit-remaining-requests-day", "x-ratelimit-reset-requests-day").named("requests-day", LimitUnit::Requests),
    requests("x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute").named("tokens-minute", LimitUnit::Tokens),
    // Mistral.
    requests("ratelimitbysize-limit", "ratelimitbysize-remaining", "ratelimitbysize-reset").named("tokens", LimitUnit::Tokens),
    requests("x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", "").named("requests-minute", LimitUnit::Requests),
    // Anthropic.
    requests("anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset").named("requests", LimitUnit::Requests),
    requests("anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset").named("tokens", LimitUnit::Tokens),
    requests("anthropic-ratelimit-input-tokens-limit", "anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset").named("input-tokens", LimitUnit::Tokens),
    requests("anthropic-ratelimit-output-tokens-limit", "anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset").named("output-tokens", LimitUnit::Tokens),
    // HubSpot.
    requests("x-hubspot-ratelimit-daily", "x-hubspot-ratelimit-daily-remaining", "").named("daily", LimitUnit::Requests),
    requests("x-hubspot-ratelimit-secondly", "x-hubspot-ratelimit-secondly-remaining", "").named("secondly", LimitUnit::Requests),
];

/// Fields that say `used/limit`.
static USED_OF: &[&str] = &["x-shopify-shop-api-call-limit"];

pub(super) fn read(glance: &Glance<'_>, sender: Sender, limits: &mut Limits) {
    for dialect in DIALECTS {
        limits.push(dialect.read(glance, sender));
    }
    for name in USED_OF {
        if let Some((used, limit)) = glance.first(name).and_then(|text| text.split_once('/')) {
            let (used, limit) = (natural(used), natural(limit));
            limits.push(LimitInfo {
                limit,
                used,
                remaining: limit
                    .zip(used)
                    .map(|(limit, used)| limit.saturating_sub(used)),
                ..LimitInfo::default()
            });
        }
    }
}

impl Dialect {
    fn read(&self, glance: &Glance<'_>, sender: Sender) -> LimitInfo {
        let text = |name: &'static str| (!name.is_empty()).then(|| glance.first(name))?;
        let limit = text(self.limit);
        LimitInfo {
            name: self.name.into(),
            unit: self.unit,
            limit: limit.and_then(natural),
            remaining: text(self.remaining).and_then(natural),
            used: text(self.used).and_then(natural),
            reset: self.reset.iter().find_map(|name| sender.reset(text(name)?)),
            window: limit.and_then(window),
        }
    }
}

/// The first member's number, rounded down: `100`, `599.0`, `100, 100;w=60`, `100;w=21600`.
fn natural(text: &str) -> Option<u64> {
    let first = text.split([',', ';']).next()?.trim_matches([' ', '\t']);
    // Rounded up past nine digits, which nobody counts requests with.
    seconds(first).map(|number| number.as_secs())
}

/// The window of the first member, else of another that has its number: draft 03 puts the policies
/// behind the limit.
fn window(text: &str) -> Option<Duration> {
    let limit = natural(text)?;
    text.split(',')
        .filter(|member| natural(member) == Some(limit))
        .find_map(|member| {
            member
                .split(';')
                .skip(1)
                .find_map(|parameter| parameter.trim_matches([' ', '\t']).strip_prefix("w="))
                .and_then(decimal)
        })
        .map(|window| Duration::from_secs(window).min(RetryAfter::MAX))
}

#[cfg(test)]
mod tests {
    use super::{super::glance::is_of_limits, *};

    #[test]
    fn numbers_with_things_around_them() {
        let cases = [
            ("100", Some(100), None),
            ("0", Some(0), None),
            ("599.0", Some(599), None),
            ("0.9", Some(0), None),
            ("100, 100;w=60, 5000;w=86400", Some(100), Some(60)),
            ("100, 50;w=1, 100;w=60", Some(100), Some(60)),
            ("100;w=21600", Some(100), Some(21_600)),
            ("100; x=1 ; w=5", Some(100), Some(5)),
            ("100;w=-5", Some(100), None),
            ("99999999999999999999", Some(u64::MAX), None),
            ("-1", None, None),
            ("", None, None),
            ("unlimited", None, None),
        ];
        for (text, number, seconds) in cases {
            assert_eq!(natural(text), number, "{text}");
            assert_eq!(window(text), seconds.map(Duration::from_secs), "{text}");
        }
    }

    /// A name with a capital in it would never be found, or panic.
    #[test]
    fn every_name_can_be_looked_up() {
        for dialect in DIALECTS {
            let names = [dialect.limit, dialect.remaining, dialect.used];
            for name in names
                .iter()
                .chain(&dialect.reset)
                .chain(USED_OF)
                .filter(|name| !name.is_empty())
            {
                assert_eq!(http::HeaderName::from_static(name).as_str(), *name);
                assert!(is_of_limits(name), "{name} is not looked for at a glance");
            }
        }
    }
}
