use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::{
    item::{LimitItem, QuotaItem, closest_to_exhaustion, integer},
    line::insert_before,
    named::{LIMIT, POLICY},
};
use crate::decimal::Decimal;

/// Draft 07: `100;w=60`, of all policies, and `limit=100, remaining=9, reset=1`, of one of them.
#[derive(Clone, Debug)]
pub(super) struct Draft07 {
    policy: Option<HeaderValue>,
    /// `limit=100, remaining=` of each policy.
    openings: Arc<[Box<str>]>,
}

impl Draft07 {
    pub(super) fn build(policies: &[QuotaItem<'_>]) -> Self {
        let policy = policies
            .iter()
            .map(|policy| {
                let (quota, window) = (integer(policy.quota), integer(policy.window_seconds));
                format!("{quota};w={window}")
            })
            .collect::<Vec<_>>()
            .join(", ");
        let openings = policies.iter().map(|policy| {
            let quota = integer(policy.quota);
            format!("limit={quota}, remaining=").into_boxed_str()
        });
        Self {
            policy: HeaderValue::try_from(policy).ok(),
            openings: openings.collect(),
        }
    }

    pub(super) fn write(&self, headers: &mut HeaderMap, items: &[LimitItem]) {
        if let (Some(policy), Some(limit)) = (&self.policy, self.limit(items)) {
            headers.insert(POLICY, policy.clone());
            headers.insert(LIMIT, limit);
        }
    }

    pub(super) fn write_before(&self, headers: &mut HeaderMap, items: &[LimitItem]) {
        // Integers.
        let alike = |value: &[u8]| value.first().is_some_and(u8::is_ascii_digit);
        if let (Some(policy), Some(limit)) = (&self.policy, self.limit(items)) {
            let value = || Some(policy.clone());
            insert_before(headers, POLICY, policy.as_bytes(), value, alike);
            // A dictionary, which has room for one policy.
            let stands = headers.get(LIMIT).map(HeaderValue::as_bytes);
            let stands = stands.and_then(<[u8]>::first);
            if !stands.is_some_and(u8::is_ascii_lowercase) {
                headers.insert(LIMIT, limit);
            }
        }
    }

    fn limit(&self, items: &[LimitItem]) -> Option<HeaderValue> {
        let told = self.openings.iter().zip(items.iter().copied());
        let (opening, item) = closest_to_exhaustion(told)?;
        let (remaining, reset) = (Decimal::of(item.r()), Decimal::of(item.t()));
        let limit = [
            opening.as_bytes(),
            remaining.as_bytes(),
            b", reset=",
            reset.as_bytes(),
        ]
        .concat();
        HeaderValue::from_maybe_shared(Bytes::from(limit)).ok()
    }
}
