mod answer;
mod credential;
mod discard;
mod errors;
mod idempotency;
mod judge;
mod key;
mod look;
mod options;
mod timeout;

use std::{fmt, sync::Arc, time::Duration};

use ::http::{HeaderName, HeaderValue, Request, Response, request::Parts};
use buttress_core::{Digest, Random, Sleep};
use buttress_http::{Head, LocalRefusal, Protocol};
use bytes::Bytes;
use http_body::Body;

pub(crate) use self::{
    discard::DiscardLimits,
    options::{Codes, Options, Trailers},
};
use self::{
    discard::Discarding,
    look::{Looking, Seek},
};
pub use self::{
    errors::{AnyError, ClassifyError},
    idempotency::KeyForm,
    key::UpstreamAndCredential,
    timeout::RequestTimeout,
};
use super::{Flavor, Judged, Outgoing, Told, sealed::Sealed};
use crate::{Attempt, Buffered, Judgment, Replay, Report, RetryBody, error::Failed};

/// For HTTP and gRPC. `P` sends bodies again, `C` understands the service's errors.
///
/// # What an answer means
///
/// | answer | meaning |
/// |---|---|
/// | one that carries [`LocalRefusal`](buttress_http::LocalRefusal), with a time, or 429 or 503 | [`Unprocessed`](Judgment::Unprocessed), and parks nobody |
/// | one with `x-should-retry: false`, and any that says that waiting does not help | [`GiveUp`](Judgment::GiveUp) |
/// | one that [`RateLimitInfo`](buttress_http::RateLimitInfo) takes for a refusal: 429, 503 with `Retry-After`, .. | [`Throttled`](Judgment::Throttled), with the wait |
/// | 408, 425, 500, 502, 503, 504, codes of 5xx that are not registered, one with `x-should-retry: true` | [`Transient`](Judgment::Transient) |
/// | other codes of 5xx: 501, 505 | [`NotRetryable`](Judgment::NotRetryable) |
/// | everything else: 2xx, 3xx, and 4xx, for which the upstream is not at fault | [`Success`](Judgment::Success) |
/// | gRPC's status in the headers, if it is one of the codes: `RESOURCE_EXHAUSTED` | `Throttled`, with the wait of `RetryInfo` or pushback |
/// | .. another one of the codes | `Transient`, with the wait of `RetryInfo` or pushback |
/// | .. with a pushback that is negative, or no number | `GiveUp` |
/// | an error | `Transient`, unless a [classifier of errors](crate::RetryBuilder::classify_errors) knows better |
/// | no answer in time | `Transient`; handed on as 504, or `DEADLINE_EXCEEDED` |
///
/// A 425 is repeated only where the request did not come in early data itself (`Early-Data: 1`, RFC 8470 §5.2).
/// Headers of gRPC without a status commit the call, as its proposal A6 has it, unless
/// [trailers are awaited](crate::RetryBuilder::await_trailers).
///
/// # What may be repeated
///
/// What was not processed, whatever it is. Else GET, HEAD, OPTIONS, TRACE, PUT and DELETE (RFC 9110 §9.2.2), what has an
/// `Idempotency-Key`, what the [user says](crate::RetryBuilder::repeatable), and calls of
/// [`RetryLayer::grpc`](crate::RetryLayer::grpc), after the codes that were named there.
pub struct Http<P = Buffered, C = AnyError> {
    options: Options,
    replay: P,
    errors: C,
}

impl Http {
    pub(crate) fn with(options: Options) -> Self {
        Self {
            options,
            replay: Buffered::default(),
            errors: AnyError,
        }
    }
}

impl<P, C> Http<P, C> {
    pub(crate) fn replay<Q>(self, replay: Q) -> Http<Q, C> {
        Http {
            options: self.options,
            replay,
            errors: self.errors,
        }
    }

    pub(crate) fn errors<D>(self, errors: D) -> Http<P, D> {
        Http {
            options: self.options,
            replay: self.replay,
            errors,
        }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn options_mut(&mut self) -> &mut Options {
        &mut self.options
    }
}

/// What is remembered of a request.
pub struct Call<K> {
    parts: Parts,
    protocol: Protocol,
    kept: K,
}

impl<K> Call<K> {
    fn head(&self) -> &Head {
        (&self.parts).into()
    }
}

impl<P, C> Sealed for Http<P, C> {}

impl<B, P, C> Outgoing<Request<B>> for Http<P, C>
where
    P: Replay<B>,
{
    type Attempt = Request<P::Attempt>;
    type Call = Call<P::Kept>;

    #[inline]
    fn begin(&self, request: Request<B>, random: &Random) -> (Self::Attempt, Self::Call) {
        let (mut parts, body) = request.into_parts();
        let protocol = self.options.protocol_of((&parts).into());
        if let Some(form) = self.options.idempotency_key
            && protocol == Protocol::Http
        {
            form.add(&mut parts, random, &self.options.secret);
        }
        let (body, kept) = self.replay.keep(body);
        let call = Call {
            parts: parts.clone(),
            protocol,
            kept,
        };
        (Request::from_parts(parts, body), call)
    }

    #[inline]
    fn timeout(&self, call: &Self::Call) -> Option<Duration> {
        timeout::of(call.head(), call.protocol)
    }

    #[inline]
    fn prepare(&self, call: &Self::Call, attempt: &mut Self::Attempt, told: Told) {
        if told.number > 1 || told.tell_always {
            attempt.extensions_mut().insert(Attempt::of(told.number));
        }
        if call.protocol != Protocol::Http {
            prepare_grpc(attempt, told);
        }
    }

    fn can_repeat(&self, call: &Self::Call) -> bool {
        self.replay.can_repeat(&call.kept)
    }

    fn again(&self, call: &mut Self::Call, is_last: bool) -> Option<Self::Attempt> {
        let kept = &mut call.kept;
        // The head is still asked for whom a refusal is about, and how one of ours would read.
        let body = match is_last {
            true => self.replay.last(kept)?,
            false => self.replay.again(kept)?,
        };
        Some(Request::from_parts(call.parts.clone(), body))
    }

    fn key(&self, call: &Self::Call) -> Digest {
        self.options.key_of(call.head())
    }
}

/// gRPC's proposal A6, and what is left of the time.
fn prepare_grpc<B>(attempt: &mut Request<B>, told: Told) {
    let headers = attempt.headers_mut();
    if told.number > 1 {
        headers.insert(PREVIOUS_ATTEMPTS, HeaderValue::from(told.number - 1));
    }
    if let Some(left) = told.left {
        timeout::rewrite(headers, left);
    }
}

const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

impl<ReqBody, B, E, P, C> Flavor<Request<ReqBody>, Response<B>, E> for Http<P, C>
where
    P: Replay<ReqBody>,
    B: Body<Data = Bytes>,
    C: ClassifyError<E>,
{
    type Response = Response<RetryBody<B>>;
    type Error = E;
    type Looking = Looking<B>;
    type Discarding = Discarding<B>;

    #[inline]
    fn judge(&self, call: &Self::Call, answer: Result<&Response<B>, &Failed<E>>) -> Judged {
        match answer {
            Ok(response) => self.options.judge(call.head(), call.protocol, response),
            Err(Failed::Inner(error)) => Judged::Known(self.errors.classify_error(error)),
            Err(Failed::TimedOut | Failed::Parked(_)) => Judged::Known(Judgment::TRANSIENT),
        }
    }

    fn is_refused_here(response: &Self::Response) -> bool {
        LocalRefusal::of(response).is_some()
    }

    fn is_safe(
        &self,
        call: &Self::Call,
        answer: &Result<Self::Response, Failed<E>>,
        judgment: Judgment,
    ) -> bool {
        let one_too_many = judge::is_one_too_many(answer, judgment);
        self.options.is_safe(call.head(), one_too_many)
            || self.options.is_named(answer, one_too_many)
    }

    fn look(
        &self,
        call: &Self::Call,
        response: Response<B>,
        timer: &Arc<dyn Sleep>,
        left: Duration,
    ) -> Looking<B> {
        let seek = self.options.seek(call.protocol, &response);
        Looking::into(response, seek, timer, left)
    }

    #[inline]
    fn wrap(response: Response<B>) -> Self::Response {
        response.map(RetryBody::inner)
    }

    fn discard(
        &self,
        _call: &Self::Call,
        response: Self::Response,
        timer: &Arc<dyn Sleep>,
        left: impl FnOnce() -> Duration,
    ) -> Option<Discarding<B>> {
        self.options.discard.of(response, timer, left)
    }

    fn finish(
        &self,
        call: &Self::Call,
        answer: Result<Self::Response, Failed<E>>,
        report: impl Fn() -> Report,
        tell: bool,
    ) -> Result<Self::Response, E> {
        let mut response = match answer {
            Ok(response) => response,
            Err(Failed::Inner(error)) => return Err(error),
            Err(Failed::TimedOut) => {
                answer::timed_out(call.head(), call.protocol).map(RetryBody::made)
            }
            Err(Failed::Parked(wait)) => {
                answer::parked(call.head(), call.protocol, wait).map(RetryBody::made)
            }
        };
        if tell {
            response.extensions_mut().insert(report());
        }
        Ok(response)
    }

    #[inline]
    fn not_ready(error: E) -> E {
        error
    }
}

impl<P: Clone, C: Clone> Clone for Http<P, C> {
    fn clone(&self) -> Self {
        Self {
            options: self.options.clone(),
            replay: self.replay.clone(),
            errors: self.errors.clone(),
        }
    }
}

impl<P, C> fmt::Debug for Http<P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl<K> fmt::Debug for Call<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A head has credentials in it.
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
