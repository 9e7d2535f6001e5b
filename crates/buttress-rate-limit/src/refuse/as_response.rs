use std::{fmt, mem, sync::Arc, time::SystemTime};

use buttress_core::ConfigError;
use buttress_http::{
    FieldStyle, Head, LocalRefusal, Protocol, RateLimitInfo, ResponseBody, retry_after_value,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, RETRY_AFTER},
    response::Parts,
};

use super::{
    Refusal, Refuse, Settlement,
    wire::{Kept, Wire, grpc},
};
use crate::{Limit, Meter, MeteredBody, Permit, Standing, body::Gauge};

/// A refusal is a response that the caller's protocol understands:
///
/// | caller | over the limit | without a key | denied |
/// |---|---|---|---|
/// | HTTP | 429 (RFC 6585 §4), `Retry-After`, `Cache-Control: no-store`, problem+json `quota-exceeded` that names the policies | 400, problem+json | 403, problem+json |
/// | gRPC, gRPC-Web | `RESOURCE_EXHAUSTED`, Trailers-Only, with the wait as `RetryInfo` and as pushback (gRPC proposal A6) | `INVALID_ARGUMENT` | `PERMISSION_DENIED` |
///
/// All carry a [`LocalRefusal`], so that no other layer takes them for the upstream's word. The
/// `RateLimit` fields are on admitted responses and on those over the limit. On an admitted response they
/// take the place of those that stand there, an inner layer's or an upstream's, unless they are
/// [joined](crate::RateLimitLayerBuilder::join_fields); on a refusal from further in nothing is written: what the one who
/// refused says is what the caller needs. That is a 402, 429, 503 or 529, a 403 that tells a wait or, as GitHub's does, a limit
/// that is used up, what AWS throttles, or what carries the mark. gRPC's refusals are told apart by the mark alone: their
/// callers read no fields.
///
/// To refuse in a form of your own, with a page or an API's own errors, map the response outside of the layer: what it has
/// refused is what carries the mark.
#[derive(Clone, Debug)]
pub struct AsResponse {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    wire: Wire,
    settlements: Box<[(usize, Rule)]>,
}

/// What settles a policy.
pub(crate) enum Rule {
    /// The response's head.
    Head(ByHead<u64>),
    /// What the body turns out to be.
    Body(ByHead<Box<dyn Meter>>),
}

type ByHead<O> = Box<dyn Fn(&Parts) -> Option<O> + Send + Sync>;

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head(_) => "Head",
            Self::Body(_) => "Body",
        })
    }
}

/// What is chosen of it while a layer is in the making.
#[derive(Debug, Default)]
pub struct Draft {
    pub(crate) style: FieldStyle,
    /// Whether the fields of a layer further in go on behind its own.
    pub(crate) joins_fields: bool,
    pub(crate) settlements: Vec<Settlement<Rule>>,
    pub(crate) refunds_local_refusals: bool,
}

pub(crate) fn by_head(
    policy: &str,
    rule: impl Fn(&Parts) -> Option<u64> + Send + Sync + 'static,
) -> Settlement<Rule> {
    Settlement::of(policy, Rule::Head(Box::new(rule)))
}

pub(crate) fn by_body<M: Meter>(
    policy: &str,
    meter: impl Fn(&Parts) -> Option<M> + Send + Sync + 'static,
) -> Settlement<Rule> {
    let meter = move |parts: &Parts| meter(parts).map(|meter| Box::new(meter) as Box<dyn Meter>);
    Settlement::of(policy, Rule::Body(Box::new(meter)))
}

impl AsResponse {
    pub(crate) fn build(draft: Draft, limits: &[Arc<Limit>]) -> Result<Self, ConfigError> {
        let wire = Wire::build(draft.style, draft.joins_fields, limits)?;
        let mut settlements = draft.settlements;
        if draft.refunds_local_refusals {
            let refused = |parts: &Parts| parts.extensions.get::<LocalRefusal>().map(|_| 0);
            let refunds = limits.iter().map(|limit| by_head(limit.name(), refused));
            // The first settlement wins.
            settlements.splice(..0, refunds);
        }
        let settlements = settlements
            .into_iter()
            .map(|settlement| settlement.place(limits))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            shared: Arc::new(Shared { wire, settlements }),
        })
    }
}

/// What is remembered of an admission until its response comes: fields to write, charges to settle.
#[derive(Debug)]
pub struct Pass(Option<Remembered>);

#[derive(Debug)]
struct Remembered {
    shared: Arc<Shared>,
    /// `None` where no fields are written.
    kept: Option<Kept>,
    permit: Option<Permit>,
}

impl<B, E> Refuse<Head, Response<B>, E> for AsResponse {
    type Response = Response<ResponseBody<MeteredBody<B>>>;
    type Error = E;
    type Pass = Pass;

    #[inline]
    fn pass(&self, standing: Option<&Standing<'_>>, permit: Option<&Permit>) -> Pass {
        let fields = self.shared.wire.has_fields();
        let settles = !self.shared.settlements.is_empty();
        match standing {
            Some(standing) if fields || settles => Pass(Some(Remembered {
                shared: Arc::clone(&self.shared),
                kept: fields.then(|| Kept::of(standing)),
                permit: permit.filter(|_| settles).cloned(),
            })),
            _ => Pass(None),
        }
    }

    #[inline]
    fn tells(&self) -> bool {
        self.shared.wire.has_fields() || !self.shared.settlements.is_empty()
    }

    #[inline]
    fn settles(&self) -> bool {
        !self.shared.settlements.is_empty()
    }

    #[inline(always)]
    fn forward(result: Result<Response<B>, E>) -> Result<Self::Response, E> {
        let wrap = |body| ResponseBody::inner(MeteredBody::around(body));
        result.map(|response| response.map(wrap))
    }

    #[inline]
    fn remembers(pass: &Pass) -> bool {
        pass.0.is_some()
    }

    #[inline(always)]
    fn finish(pass: Pass, result: &mut Result<Self::Response, E>) {
        if let (Some(remembered), Ok(response)) = (pass.0, result) {
            remembered.finish(response);
        }
    }

    fn refuse(&self, head: &Head, refusal: &Refusal<'_>) -> Result<Self::Response, E> {
        let wire = &self.shared.wire;
        let retry_after = refusal.retry_after();
        let mut response = match Protocol::of_request(head) {
            Protocol::Http => wire.http(refusal),
            _ => grpc(refusal, head.headers()),
        };
        let length = response.body().len();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = retry_after {
            headers.insert(RETRY_AFTER, retry_after_value(wait));
        }
        if let Some(standing) = refusal.standing().filter(|_| wire.has_fields()) {
            wire.write_fields(headers, &Kept::of(standing));
        }
        if head.method() == Method::HEAD {
            // The length that the body would have, and no body: hyper sends what it is given over HTTP/2,
            // and the caller resets the stream.
            headers.insert(CONTENT_LENGTH, length.into());
            *response.body_mut() = Bytes::new();
        }
        LocalRefusal::new(retry_after).mark(&mut response);
        Ok(response.map(ResponseBody::full))
    }

    #[inline]
    fn error(error: E) -> E {
        error
    }
}

/// Whether somebody further in refused.
fn is_refusal<B>(response: &Response<B>) -> bool {
    let status = response.status();
    match status.as_u16() {
        402 | 429 | 503 | 529 => true,
        400..600 if tells_of_a_refusal(status, response.headers()) => true,
        _ => LocalRefusal::of(response).is_some(),
    }
}

/// Of the other errors most are ordinary answers.
#[cold]
fn tells_of_a_refusal(status: StatusCode, headers: &HeaderMap) -> bool {
    // As good a time as any: whether it refuses is asked, not for how long.
    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    // AWS throttles with a 400, and names the error in a field.
    let may_be = status == StatusCode::FORBIDDEN || headers.contains_key("x-amzn-errortype");
    may_be && RateLimitInfo::of(status, headers, NOW).verdict().is_some()
}

impl Remembered {
    // Out of line, so that it costs nothing where nothing is to be written.
    #[inline(never)]
    fn finish<B>(&self, response: &mut Response<ResponseBody<MeteredBody<B>>>) {
        if let Some(permit) = &self.permit {
            self.settle(permit, response);
        }
        // Where somebody further in refused, a limit of ours or the upstream's, its fields are what the
        // caller needs.
        if let Some(kept) = &self.kept
            && !is_refusal(response)
        {
            self.shared.wire.write_fields(response.headers_mut(), kept);
        }
    }

    /// Settles what can be, and leaves the rest to the body's end.
    fn settle<B>(&self, permit: &Permit, response: &mut Response<ResponseBody<MeteredBody<B>>>) {
        let (parts, mut body) = mem::take(response).into_parts();
        if let (Some(gauge), Some(body)) = (self.gauge(permit, &parts), body.get_mut()) {
            body.watch(gauge);
        }
        *response = Response::from_parts(parts, body);
    }

    /// Settles by the head; what is left to the body.
    fn gauge(&self, permit: &Permit, parts: &Parts) -> Option<Gauge> {
        let mut meters = Vec::new();
        for (ordinal, rule) in &self.shared.settlements {
            match rule {
                Rule::Head(rule) => {
                    if let Some(actual) = rule(parts) {
                        permit.settle_at(*ordinal, actual);
                    }
                }
                Rule::Body(meter) => meters.extend(meter(parts).map(|meter| (*ordinal, meter))),
            }
        }
        (!meters.is_empty()).then(|| Gauge::of(permit, meters))
    }
}
