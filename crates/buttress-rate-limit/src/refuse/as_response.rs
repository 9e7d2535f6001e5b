use std::sync::Arc;

use buttress_core::ConfigError;
use buttress_http::{
    FieldStyle, GrpcCode, GrpcRefusal, Head, LimitItem, LocalRefusal, Problem, Protocol, QuotaItem,
    RateLimitFields, ResponseBody, retry_after_value,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};

use super::{Refusal, Refuse};
use crate::{Decision, Limit, Quota};

/// A refusal is a response that the caller's protocol understands:
///
/// | caller | over the limit | without a key |
/// |---|---|---|
/// | HTTP | 429 (RFC 6585 §4), `Retry-After`, `Cache-Control: no-store`, problem+json `quota-exceeded` that names the policies | 400, problem+json |
/// | gRPC, gRPC-Web | `RESOURCE_EXHAUSTED`, Trailers-Only, with the wait as `RetryInfo` | `INVALID_ARGUMENT` |
///
/// Both carry a [`LocalRefusal`], so that no other layer takes it for the upstream's word, and the
/// `RateLimit` fields, as admitted responses do. Of several such layers the outermost one's fields stand on
/// an admitted response, and those of the one that refused on a refusal.
#[derive(Clone, Debug)]
pub struct AsResponse {
    wire: Arc<Wire>,
}

/// What is the same for all responses.
#[derive(Debug)]
struct Wire {
    style: FieldStyle,
    fields: RateLimitFields,
    /// The usual refusal's body, for each policy alone: made once.
    problems: Box<[Bytes]>,
}

impl AsResponse {
    pub(crate) fn build(style: FieldStyle, limits: &[Arc<Limit>]) -> Result<Self, ConfigError> {
        let items: Vec<_> = limits
            .iter()
            .map(|limit| quota_item(limit.name(), limit.quota()))
            .collect();
        let fields = RateLimitFields::build(style, &items)?;
        let problems = limits
            .iter()
            .map(|limit| over_limit([limit.name()]).to_bytes())
            .collect();
        Ok(Self {
            wire: Arc::new(Wire {
                style,
                fields,
                problems,
            }),
        })
    }
}

/// What is told of a policy: as a bucket's, its capacity and the time that this takes to fill.
fn quota_item<'a>(name: &'a str, quota: &Quota) -> QuotaItem<'a> {
    let refill = quota.refill_time();
    let seconds = refill.as_secs() + u64::from(refill.subsec_nanos() > 0);
    QuotaItem::new(name, quota.burst(), seconds.max(1))
}

fn over_limit<'a>(policies: impl IntoIterator<Item = &'a str>) -> Problem {
    Problem::quota_exceeded(policies)
        .detail("The quota is used up. Try again after the time in Retry-After.")
}

impl Wire {
    fn write_fields(&self, headers: &mut HeaderMap, decisions: &[Decision]) {
        match decisions {
            [only] => self.fields.write(headers, &[limit_item(only)]),
            decisions => {
                let items: Vec<_> = decisions.iter().map(limit_item).collect();
                self.fields.write(headers, &items);
            }
        }
    }

    fn http(&self, refusal: &Refusal<'_>) -> Response<Bytes> {
        if let Some(missing) = refusal.missing_key() {
            return Problem::new(StatusCode::BAD_REQUEST)
                .title("The request does not say whose it is")
                .detail(format!(
                    "The rate limit {:?} needs to know: {}.",
                    refusal.policy(),
                    missing.why()
                ))
                .into_response();
        }
        let refusing = refusal
            .decisions()
            .iter()
            .filter(|decision| !decision.is_admitted())
            .count();
        let body = match self.problems.get(refusal.index()) {
            Some(problem) if refusing == 1 => problem.clone(),
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

fn grpc(refusal: &Refusal<'_>, request: &HeaderMap) -> Response<Bytes> {
    let policy = refusal.policy();
    let status = match (refusal.missing_key(), refusal.retry_after()) {
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
        }
        (None, None) => {
            GrpcRefusal::resource_exhausted(format!("the request exceeds the quota {policy:?}"))
        }
    };
    status.into_response(request).map(|()| Bytes::new())
}

fn limit_item(decision: &Decision) -> LimitItem {
    LimitItem {
        remaining: decision.remaining(),
        retry_after: decision.retry_after().unwrap_or(decision.next_after()),
        reset_after: decision.reset_after(),
    }
}

/// What is remembered of an admission until its response comes: the fields to write, if any.
#[derive(Debug)]
pub struct Pass(Option<(Arc<Wire>, Standing)>);

/// How the policies stood. One is the usual number, and needs no allocation.
#[derive(Debug)]
enum Standing {
    One(Decision),
    Many(Box<[Decision]>),
}

impl<B, E> Refuse<Head, Response<B>, E> for AsResponse {
    type Response = Response<ResponseBody<B>>;
    type Error = E;
    type Pass = Pass;

    #[inline]
    fn pass(&self, decisions: &[Decision]) -> Pass {
        if self.wire.style == FieldStyle::None {
            return Pass(None);
        }
        let standing = match decisions {
            [only] => Standing::One(*only),
            many => Standing::Many(many.into()),
        };
        Pass(Some((Arc::clone(&self.wire), standing)))
    }

    #[inline]
    fn finish(pass: Pass, result: Result<Response<B>, E>) -> Result<Self::Response, E> {
        result.map(|mut response| {
            if let Pass(Some((wire, standing))) = &pass
                // A limit further in refused: that one's fields are what the caller needs.
                && LocalRefusal::of(&response).is_none()
            {
                let decisions = match standing {
                    Standing::One(only) => std::slice::from_ref(only),
                    Standing::Many(many) => many,
                };
                wire.write_fields(response.headers_mut(), decisions);
            }
            response.map(ResponseBody::inner)
        })
    }

    fn refuse(&self, head: &Head, refusal: &Refusal<'_>) -> Result<Self::Response, E> {
        let retry_after = refusal.retry_after();
        let mut response = match Protocol::of(head.headers()) {
            Protocol::Http => self.wire.http(refusal),
            _ => grpc(refusal, head.headers()),
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = retry_after {
            headers.insert(RETRY_AFTER, retry_after_value(wait));
        }
        self.wire.write_fields(headers, refusal.decisions());
        LocalRefusal::new(retry_after).mark(&mut response);
        Ok(response.map(ResponseBody::full))
    }

    #[inline]
    fn error(error: E) -> E {
        error
    }
}
