use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::item::{LimitItem, QuotaItem, closest_to_exhaustion, integer};
use crate::decimal::Decimal;

/// The three names of one dialect.
#[derive(Debug)]
pub(super) struct Names {
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

/// Drafts 00 to 03.
pub(super) static STANDARD: Names = Names {
    limit: HeaderName::from_static("ratelimit-limit"),
    remaining: HeaderName::from_static("ratelimit-remaining"),
    reset: HeaderName::from_static("ratelimit-reset"),
};

/// What was there before any draft.
pub(super) static PREFIXED: Names = Names {
    limit: HeaderName::from_static("x-ratelimit-limit"),
    remaining: HeaderName::from_static("x-ratelimit-remaining"),
    reset: HeaderName::from_static("x-ratelimit-reset"),
};

/// Three fields of one number each, of one policy.
#[derive(Clone, Debug)]
pub(super) struct Three {
    names: &'static Names,
    limits: Arc<[HeaderValue]>,
}

impl Three {
    pub(super) fn build(names: &'static Names, policies: &[QuotaItem<'_>]) -> Self {
        let limits = policies
            .iter()
            .map(|policy| Decimal::of(integer(policy.quota)).into_header_value());
        Self {
            names,
            limits: limits.collect(),
        }
    }

    pub(super) fn write_before(&self, headers: &mut HeaderMap, items: &[LimitItem]) {
        if !headers.contains_key(&self.names.limit) {
            self.write(headers, items);
        }
    }

    pub(super) fn write(&self, headers: &mut HeaderMap, items: &[LimitItem]) {
        let told = self.limits.iter().zip(items.iter().copied());
        let Some((limit, item)) = closest_to_exhaustion(told) else {
            return;
        };
        headers.insert(&self.names.limit, limit.clone());
        let remaining = Decimal::of(item.r()).into_header_value();
        headers.insert(&self.names.remaining, remaining);
        headers.insert(&self.names.reset, Decimal::of(item.t()).into_header_value());
    }
}
