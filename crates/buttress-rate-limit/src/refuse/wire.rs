use std::{sync::Arc, time::Duration};

use buttress_core::ConfigError;
use buttress_http::{
    FieldStyle, GrpcCode, GrpcRefusal, LimitItem, Problem, QuotaItem, RateLimitFields,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};

use super::{
    Refusal,
    prepared::{Prepared, Term},
};
use crate::{Decision, Limit, Quota, Standing, decision::Verdict, limits::MAX_POLICIES};

/// What is the same for all responses of a layer, made once.
#[derive(Debug)]
pub(super) struct Wire {
    style: FieldStyle,
    /// Whether the fields of a layer further in go on behind them.
    joins: bool,
    names: Box<[Box<str>]>,
    /// The fields, for requests whose quotas are the policies' own.
    fields: RateLimitFields,
    /// And for others.
    prepared: Prepared,
    /// The usual refusal's body, for each policy alone.
    problems: Box<[Bytes]>,
}

/// How the policies stand, kept until the response comes. One is the usual number, and needs no
/// allocation.
#[derive(Debug)]
pub(super) enum Kept {
    One(Told),
    Many(Box<[Told]>),
    /// With quotas that were found for the request, or of some of the policies alone: those that apply,
    /// by their places.
    Found(Box<[(usize, Quota, Told)]>),
}

/// What a field tells of a decision, in as few words as it takes: they are moved along with the future.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    remaining: u64,
    /// Nanoseconds until something can be had again, where nothing remains; else until all can.
    after: u64,
}

impl Kept {
    // Always, so that what stands is not put together in memory only to be looked at here.
    #[inline(always)]
    pub(super) fn of(standing: &Standing<'_>) -> Self {
        match standing.decisions() {
            [only] if standing.is_plain() => Self::One(Told::of(only)),
            _ => Self::of_several(*standing),
        }
    }

    #[cold]
    fn of_several(standing: Standing<'_>) -> Self {
        if standing.is_plain() {
            Self::Many(standing.decisions().iter().map(Told::of).collect())
        } else {
            // All that were asked apply, which a filter does not know.
            let mut found = Vec::with_capacity(standing.asked().len());
            let told = |(place, quota, decision)| (place, quota, Told::of(&decision));
            found.extend(standing.applying().map(told));
            Self::Found(found.into())
        }
    }
}

impl Told {
    #[inline(always)]
    fn of(decision: &Decision) -> Self {
        let remaining = decision.remaining();
        let after = match decision.retry_after() {
            _ if remaining > 0 => decision.reset_after(),
            Some(wait) => wait,
            None => decision.next_after(),
        };
        Self {
            remaining,
            after: after.as_nanos() as u64,
        }
    }

    fn item(&self) -> LimitItem {
        let after = Duration::from_nanos(self.after);
        LimitItem::new(self.remaining, after, after)
    }
}

impl Wire {
    pub(super) fn build(
        style: FieldStyle,
        joins: bool,
        limits: &[Arc<Limit>],
    ) -> Result<Self, ConfigError> {
        let items: Vec<_> = limits
            .iter()
            .map(|limit| quota_item(limit.name(), &limit.quota()))
            .collect();
        Ok(Self {
            style,
            joins,
            names: limits.iter().map(|limit| limit.name().into()).collect(),
            fields: RateLimitFields::build(style, &items)?,
            prepared: Prepared::default(),
            problems: limits
                .iter()
                .map(|limit| over_limit([limit.name()]).to_bytes())
                .collect(),
        })
    }

    pub(super) fn has_fields(&self) -> bool {
        self.style != FieldStyle::None
    }

    pub(super) fn write_fields(&self, headers: &mut HeaderMap, kept: &Kept) {
        match kept {
            Kept::One(only) => self.write(headers, &self.fields, &[only.item()]),
            Kept::Many(told) => {
                with_items(told.iter(), |items| {
                    self.write(headers, &self.fields, items);
                });
            }
            Kept::Found(found) => {
                let terms = found.iter().map(|(place, quota, _)| (*place, *quota));
                let build = || self.build_found(terms.clone());
                with_items(found.iter().map(|(.., told)| told), |items| {
                    let write = |fields: &RateLimitFields| self.write(headers, fields, items);
                    self.prepared.lend(terms.clone(), build, write);
                });
            }
        }
    }

    fn write(&self, headers: &mut HeaderMap, fields: &RateLimitFields, items: &[LimitItem]) {
        if self.joins {
            fields.write_before(headers, items);
        } else {
            fields.write(headers, items);
        }
    }

    #[cold]
    fn build_found(&self, terms: impl Iterator<Item = Term>) -> Option<RateLimitFields> {
        let policies: Option<Vec<_>> = terms
            .map(|(place, quota)| Some(quota_item(self.names.get(place)?, &quota)))
            .collect();
        // The names were found good when the layer was built.
        RateLimitFields::build(self.style, &policies?).ok()
    }

    pub(super) fn http(&self, refusal: &Refusal<'_>) -> Response<Bytes> {
        if refusal.is_denied() {
            return Problem::new(StatusCode::FORBIDDEN)
                .title("The request is denied")
                .into_response();
        }
        if let Some(missing) = refusal.missing_key() {
            let detail = format!(
                "The rate limit {:?} needs to know whose the request is: {}.",
                refusal.policy(),
                missing.why()
            );
            return Problem::new(StatusCode::BAD_REQUEST)
                .title("The request does not say whose it is")
                .detail(detail)
                .into_response();
        }
        if refusal
            .decision()
            .is_some_and(|decision| decision.verdict() == Verdict::CostExceedsBurst)
        {
            return Problem::quota_exceeded(refusal.policies())
                .detail("The request costs more than the whole quota: it can never be admitted.")
                .into_response();
        }
        let body = match self.problems.get(refusal.index()) {
            Some(problem) if refusal.policies().nth(1).is_none() => problem.clone(),
            _ => over_limit(refusal.policies()).to_bytes(),
        };
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        *response.headers_mut() = headers;
        response
    }
}

/// Hands all items to `then`. There are few, and they are put together on the stack.
fn with_items<'a>(told: impl Iterator<Item = &'a Told>, then: impl FnOnce(&[LimitItem])) {
    let mut items = [LimitItem::new(0, Duration::ZERO, Duration::ZERO); MAX_POLICIES];
    let mut places = items.iter_mut();
    // Not the other way around: a place would be taken for the one that does not come.
    for (told, place) in told.zip(&mut places) {
        *place = told.item();
    }
    let count = MAX_POLICIES - places.len();
    then(items.get(..count).unwrap_or_default());
}

pub(super) fn grpc(refusal: &Refusal<'_>, request: &HeaderMap) -> Response<Bytes> {
    let policy = refusal.policy();
    let status = match (refusal.missing_key(), refusal.retry_after()) {
        _ if refusal.is_denied() => {
            GrpcRefusal::new(GrpcCode::PermissionDenied, "the request is denied")
        }
        (Some(missing), _) => {
            let message = format!(
                "the rate limit {policy:?} needs to know whose the request is: {}",
                missing.why()
            );
            GrpcRefusal::new(GrpcCode::InvalidArgument, message)
        }
        (None, Some(wait)) => {
            GrpcRefusal::resource_exhausted(format!("the quota {policy:?} is used up"))
                .retry_after(wait)
                .pushback(true)
        }
        (None, None) => {
            let message = format!("the request costs more than the whole quota {policy:?}");
            GrpcRefusal::resource_exhausted(message).never_retry()
        }
    };
    status.into_response(request).map(|()| Bytes::new())
}

/// What is told of a policy: as a bucket's, its capacity and the time that this takes to fill at the rate that was asked
/// for. By the interval, which is rounded up, "7/min" would be seven in 61 seconds.
fn quota_item<'a>(name: &'a str, quota: &Quota) -> QuotaItem<'a> {
    const SECOND: u128 = 1_000_000_000;

    let filled = u128::from(quota.burst()) * quota.period().as_nanos();
    let seconds = filled.div_ceil(u128::from(quota.count()) * SECOND).max(1);
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
    QuotaItem::new(name, quota.burst(), seconds)
}

fn over_limit<'a>(policies: impl IntoIterator<Item = &'a str>) -> Problem {
    Problem::quota_exceeded(policies)
        .detail("The quota is used up. Try again after the time in Retry-After.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_items_are_told_as_there_are() {
        for count in 0..=MAX_POLICIES {
            let told: Vec<_> = (1..=count as u64)
                .map(|remaining| Told {
                    remaining,
                    after: 7,
                })
                .collect();
            let items: Vec<_> = told.iter().map(Told::item).collect();
            with_items(told.iter(), |found| assert_eq!(found, items));
        }
    }
}
