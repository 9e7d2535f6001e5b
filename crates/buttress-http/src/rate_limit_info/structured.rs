//! `RateLimit` and `RateLimit-Policy`, as structured fields (RFC 9651).
//!
//! | since | `RateLimit-Policy` | `RateLimit` |
//! |---|---|---|
//! | draft 04 | `100;w=60` | (three fields, see `dialects.rs`) |
//! | draft 07 | `100;w=60` | `limit=100, remaining=9, reset=1` |
//! | draft 08 | `burst;q=100;w=60` | `burst;r=9;t=1` |
//! | draft 09 | `"burst";q=100;w=60` | `"burst";r=9;t=1` |
//! | August 2026 | a Token or a String | `burst;a=9;w=1;c=1` |
//!
//! What does not parse is ignored; so is a member that lacks what it must have.

use std::time::Duration;

use sfv::{BareItem, Dictionary, Item, List, ListEntry, Parameters, Parser};

use super::{
    glance::Glance,
    limit::{LimitInfo, LimitUnit},
    limits::Limits,
    sender::Sender,
};
use crate::RetryAfter;

/// Reads `RateLimit`, also with the `X-` that some put before it.
pub(super) fn read_limits(glance: &Glance<'_>, sender: Sender, limits: &mut Limits) {
    for name in ["ratelimit", "x-ratelimit"] {
        if let Some(text) = glance.list(name) {
            limits_of(&text, sender, limits);
        }
    }
}

/// Reads `RateLimit-Policy`, when all limits that it may belong to are known.
pub(super) fn read_policies(glance: &Glance<'_>, limits: &mut Limits) {
    for name in ["ratelimit-policy", "x-ratelimit-policy"] {
        if let Some(text) = glance.list(name) {
            policies_of(&text, limits);
        }
    }
}

fn limits_of(text: &str, sender: Sender, limits: &mut Limits) {
    if let Ok(list) = Parser::new(text).parse::<List>() {
        for item in items(&list) {
            if let Some(limit) = service_limit(item, sender) {
                limits.push(limit);
            }
        }
    } else if let Ok(fields) = Parser::new(text).parse::<Dictionary>() {
        let number = |key| match fields.get(key) {
            Some(ListEntry::Item(item)) => natural(&item.bare_item),
            _ => None,
        };
        limits.push(LimitInfo {
            limit: number("limit"),
            remaining: number("remaining"),
            reset: number("reset").map(|reset| sender.left_of(Duration::from_secs(reset))),
            ..LimitInfo::default()
        });
    }
}

/// `"burst";r=9;t=1`, or `burst;a=9;w=1`.
fn service_limit(item: &Item, sender: Sender) -> Option<LimitInfo> {
    let name = name(&item.bare_item)?;
    let either = |one, other| match item.params.get(one).or_else(|| item.params.get(other)) {
        // There, but no number: malformed.
        Some(value) => natural(value).map(Some),
        None => Some(None),
    };
    let remaining = either("r", "a")??;
    let reset = either("t", "w")?.map(|reset| sender.left_of(Duration::from_secs(reset)));
    Some(LimitInfo {
        name: name.to_owned().into(),
        remaining: Some(remaining),
        reset,
        ..LimitInfo::default()
    })
}

/// Adds what the policies say to the limits that are told of, and the policies of which nothing else
/// is told.
fn policies_of(text: &str, limits: &mut Limits) {
    let Ok(list) = Parser::new(text).parse::<List>() else {
        return;
    };
    for policy in items(&list).filter_map(policy) {
        let known = limits.iter_mut().find(|limit| {
            // Drafts 04 to 07 do not name them: it is the one with this quota.
            limit.name.eq_ignore_ascii_case(&policy.name)
                && (!policy.name.is_empty() || limit.limit == policy.limit)
        });
        match known {
            Some(known) => {
                known.limit = known.limit.or(policy.limit);
                known.window = known.window.or(policy.window);
                known.unit = policy.unit;
            }
            None => limits.push(policy),
        }
    }
}

/// `"burst";q=100;w=60;qu="requests"`, or `100;w=60`.
fn policy(item: &Item) -> Option<LimitInfo> {
    let parameter = |key| item.params.get(key).and_then(natural);
    let (name, limit) = match name(&item.bare_item) {
        Some(name) => (name, parameter("q")?),
        None => ("", natural(&item.bare_item)?),
    };
    Some(LimitInfo {
        name: name.to_owned().into(),
        unit: unit(&item.params),
        limit: Some(limit),
        window: parameter("w").map(|window| Duration::from_secs(window).min(RetryAfter::MAX)),
        ..LimitInfo::default()
    })
}

fn unit(parameters: &Parameters) -> LimitUnit {
    match parameters.get("qu").and_then(name) {
        Some("content-bytes") => LimitUnit::ContentBytes,
        Some("concurrent-requests") => LimitUnit::ConcurrentRequests,
        _ => LimitUnit::Requests,
    }
}

fn items(list: &List) -> impl Iterator<Item = &Item> {
    list.iter().filter_map(|entry| match entry {
        ListEntry::Item(item) => Some(item),
        ListEntry::InnerList(_) => None,
    })
}

fn name(value: &BareItem) -> Option<&str> {
    match value {
        BareItem::String(name) => Some(name.as_str()),
        BareItem::Token(name) => Some(name.as_str()),
        _ => None,
    }
}

fn natural(value: &BareItem) -> Option<u64> {
    u64::try_from(i64::from(value.as_integer()?)).ok()
}
