use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    item::{LimitItem, QuotaItem, QuotaUnit, integer},
    line::insert_before,
};
use crate::decimal::{Backwards, Decimal};

pub(super) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(super) const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How the parameters of `RateLimit` are spelt.
#[derive(Debug)]
pub(super) struct Parameters {
    remaining: &'static str,
    reset: [u8; 3],
}

/// Drafts 08 to 11: `"burst";r=9;t=1`.
pub(super) static DRAFT_11: Parameters = Parameters {
    remaining: ";r=",
    reset: *b";t=",
};

/// The editors' copy of August 2026: `"burst";a=9;w=1`.
pub(super) static EDITORS_COPY: Parameters = Parameters {
    remaining: ";a=",
    reset: *b";w=",
};

/// `"burst";q=100;w=60` and `"burst";r=9;t=1`: all policies in both lists, by their names.
#[derive(Clone, Debug)]
pub(super) struct Named {
    policy: Option<HeaderValue>,
    /// `"burst";r=` of each policy; with `, ` before it but for the first.
    openings: Arc<[Box<str>]>,
    reset: [u8; 3],
}

impl Named {
    pub(super) fn build(parameters: &Parameters, policies: &[QuotaItem<'_>]) -> Self {
        let policy = policies.iter().map(policy).collect::<Vec<_>>().join(", ");
        let openings = policies.iter().enumerate().map(|(n, policy)| {
            let comma = if n > 0 { ", " } else { "" };
            format!("{comma}{}{}", string(policy.name), parameters.remaining).into_boxed_str()
        });
        Self {
            policy: value(policy.into_bytes()),
            openings: openings.collect(),
            reset: parameters.reset,
        }
    }

    pub(super) fn write(&self, headers: &mut HeaderMap, items: &[LimitItem]) {
        if let (Some(policy), Some(limit)) = (&self.policy, self.limit(items)) {
            headers.insert(POLICY, policy.clone());
            headers.insert(LIMIT, limit);
        }
    }

    pub(super) fn write_before(&self, headers: &mut HeaderMap, items: &[LimitItem]) {
        // Strings.
        let alike = |value: &[u8]| value.starts_with(b"\"");
        if let Some(policy) = &self.policy {
            let value = || Some(policy.clone());
            insert_before(headers, POLICY, policy.as_bytes(), value, alike);
            self.spell(items, |limit| {
                let value = || HeaderValue::from_bytes(limit).ok();
                insert_before(headers, LIMIT, limit, value, alike);
            });
        }
    }

    fn limit(&self, items: &[LimitItem]) -> Option<HeaderValue> {
        self.spell(items, |limit| HeaderValue::from_bytes(limit).ok())
    }

    /// Lends what the items read as.
    fn spell<O>(&self, items: &[LimitItem], then: impl FnOnce(&[u8]) -> O) -> O {
        // One policy or two fit, and nothing is then allocated for it.
        let mut short = Backwards::new();
        let told = self.openings.iter().zip(items);
        match write_short(&mut short, &self.reset, told.clone()) {
            Some(()) => then(short.as_bytes()),
            None => {
                let parts = told.map(|(opening, item)| {
                    let (remaining, reset) = (Decimal::of(item.r()), Decimal::of(item.t()));
                    let remaining = remaining.as_bytes();
                    [opening.as_bytes(), remaining, &self.reset, reset.as_bytes()].concat()
                });
                then(&parts.collect::<Vec<_>>().concat())
            }
        }
    }
}

/// Writes the items, the last one first; `None` where they do not fit.
#[inline]
fn write_short<'a>(
    short: &mut Backwards<SHORT>,
    reset: &[u8; 3],
    told: impl DoubleEndedIterator<Item = (&'a Box<str>, &'a LimitItem)>,
) -> Option<()> {
    for (opening, item) in told.rev() {
        short.number(item.t())?;
        short.text(reset)?;
        short.number(item.r())?;
        short.text(opening.as_bytes())?;
    }
    Some(())
}

const SHORT: usize = 128;

fn policy(policy: &QuotaItem<'_>) -> String {
    let mut text = string(policy.name);
    text.push_str(&format!(
        ";q={};w={}",
        integer(policy.quota),
        integer(policy.window_seconds)
    ));
    if policy.unit != QuotaUnit::Requests {
        text.push_str(&format!(";qu=\"{}\"", policy.unit.as_str()));
    }
    text
}

/// A String of RFC 9651 §4.1.6.
fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// `None` would take a character that `validate` let pass and a header does not: there is none.
fn value(text: Vec<u8>) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}
