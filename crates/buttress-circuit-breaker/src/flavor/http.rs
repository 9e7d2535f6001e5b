use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use buttress_core::{Classify as _, Outcome, View, clock::WallClock};
use buttress_http::{
    GrpcClassifier, GrpcRefusal, Head, HttpClassifier, LocalRefusal, Problem, Protocol,
    retry_after_value,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
    response::Parts,
};
use http_body::Body;

use super::{Flavor, Instead};
use crate::{GuardedBody, OwnedPermit, Refused};

/// For HTTP and gRPC.
///
/// # What an answer means
///
/// As [`HttpClassifier`] and, for a request that is [gRPC's](Protocol::of_request), [`GrpcClassifier`] say: 500, 502,
/// 503, 504 and errors are failures, 4xx and 501 are not; 429, and what else tells when to come back (a 503 with `Retry-After`, a
/// 403 of GitHub's whose limit is used up), park the circuit;
/// a [`LocalRefusal`] is no outcome. Of gRPC's codes `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNKNOWN`
/// and `DATA_LOSS` are failures, and `RESOURCE_EXHAUSTED` parks, as does
/// `UNAVAILABLE` with pushback or `RetryInfo`, wherever the status stands: it is read in
/// the trailers as they pass, and nothing is withheld. gRPC-Web has its trailers in the body, which is not read: there
/// only a status in the headers is heard.
///
/// There is one outcome for each call: a failure as soon as it is seen, a success at the end of the body,
/// which may still break off. What is a tunnel (101, or CONNECT) is over at its headers. A caller that drops
/// a body before its end has been answered; a gRPC call without a status has not, and counts as
/// [`OnDrop`](crate::OnDrop) says.
///
/// A *probe* is over at its headers in HTTP. In gRPC it is over at its status, or at the probe's deadline, where
/// it is a success if there were headers.
///
/// # How a refusal reads
///
/// | caller | refusal |
/// |---|---|
/// | HTTP | 503, problem+json `temporary-reduced-capacity` that names the circuit breaker |
/// | gRPC, gRPC-Web | `UNAVAILABLE`, Trailers-Only, with the time left as `RetryInfo` and as pushback |
///
/// Both carry `Retry-After` for the time left, unless [nobody knows it](Refused::retry_after), and
/// `Cache-Control: no-store`. They are marked as [`LocalRefusal`], so that no other layer takes them for the
/// upstream's word.
#[derive(Clone, Debug, Default)]
pub struct Http(Arc<Shared>);

/// An extension of a response by which a service inside of the circuit breaker tells for how long it waited for somebody else than
/// the upstream, such as for a client that sends its request slowly. So long is not counted where
/// [slow calls](crate::RateTrip::slow_call_rate) are: else any such client could open the circuit for all others.
///
/// Before the answer nobody hears of it, so a probe's [deadline](crate::CircuitBreakerBuilder::probe_deadline) goes on meanwhile: it has
/// to be long enough for what such clients send, or they keep an open circuit from closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waited(pub Duration);

type Classifier = Arc<dyn Fn(&Parts) -> Option<Outcome> + Send + Sync>;
type Fallback = Arc<dyn Fn(&Head, &Refused) -> Response<Bytes> + Send + Sync>;

/// What is the same for all requests.
#[derive(Clone, Default)]
struct Shared {
    http: HttpClassifier,
    grpc: GrpcClassifier,
    users: Option<Classifier>,
    bodies_unwatched: bool,
    fallback: Option<Fallback>,
    /// The body of a refusal, the same each time.
    problem: OnceLock<Bytes>,
}

impl Http {
    pub(crate) fn set_classifier(&mut self, classifier: Classifier) {
        Arc::make_mut(&mut self.0).users = Some(classifier);
    }

    pub(crate) fn set_watching(&mut self, watch: bool) {
        Arc::make_mut(&mut self.0).bodies_unwatched = !watch;
    }

    pub(crate) fn set_fallback(&mut self, fallback: Fallback) {
        Arc::make_mut(&mut self.0).fallback = Some(fallback);
    }

    pub(crate) fn set_wall_clock(&mut self, clock: impl WallClock) {
        let clock: Arc<dyn WallClock> = Arc::new(clock);
        let shared = Arc::make_mut(&mut self.0);
        shared.http = HttpClassifier::with_clock(Arc::clone(&clock));
        shared.grpc = GrpcClassifier::with_clock(clock);
    }

    /// What the trailers of a gRPC response mean.
    pub(crate) fn trailers(&self, trailers: &HeaderMap) -> Outcome {
        self.0.grpc.trailers(trailers)
    }

    fn refusal(&self, head: &Head, name: &str, refused: &Refused) -> Response<Bytes> {
        let wait = refused.retry_after();
        let mut response = match (&self.0.fallback, Protocol::of_request(head)) {
            (Some(fallback), _) => fallback(head, refused),
            (None, Protocol::Http) => explained(self.http_refusal(head, name), refused),
            (None, _) => explained(grpc_refusal(head.headers(), refused), refused),
        };
        LocalRefusal::new(wait).mark(&mut response);
        response
    }

    fn http_refusal(&self, head: &Head, name: &str) -> Response<Bytes> {
        let body = self.0.problem.get_or_init(|| {
            Problem::temporary_reduced_capacity([name])
                .detail("The upstream is not being called for now. Try again after the time in Retry-After.")
                .to_bytes()
        });
        let mut response = Response::new(body.clone());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let headers = response.headers_mut();
        headers.reserve(4);
        let problem = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, problem);
        if head.method() == Method::HEAD {
            // The length that the body would have, and no body: hyper sends what it is given over HTTP/2,
            // and the caller resets the stream.
            headers.insert(CONTENT_LENGTH, body.len().into());
            *response.body_mut() = Bytes::new();
        }
        response
    }
}

fn grpc_refusal(request: &HeaderMap, refused: &Refused) -> Response<Bytes> {
    let mut refusal = GrpcRefusal::unavailable("the circuit breaker lets no call through");
    if let Some(wait) = refused.retry_after() {
        refusal = refusal.retry_after(wait).pushback(true);
    }
    refusal.into_response(request).map(|()| Bytes::new())
}

/// What both protocols' refusals say.
fn explained(mut response: Response<Bytes>, refused: &Refused) -> Response<Bytes> {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = refused.retry_after() {
        headers.insert(RETRY_AFTER, retry_after_value(wait));
    }
    response
}

/// What is remembered of a request until its answer comes.
#[derive(Debug)]
pub struct Asked {
    flavor: Http,
    protocol: Protocol,
    is_connect: bool,
}

impl Asked {
    fn outcome<B, E>(&self, response: Response<B>) -> (Response<B>, Outcome) {
        let shared = &*self.flavor.0;
        let (response, known) = match &shared.users {
            Some(classify) if LocalRefusal::of(&response).is_none() => {
                let (parts, body) = response.into_parts();
                let known = classify(&parts);
                (Response::from_parts(parts, body), known)
            }
            _ => (response, None),
        };
        let outcome = known.unwrap_or_else(|| match self.protocol {
            Protocol::Http => shared.http.classify(Ok::<_, &E>(&response)),
            _ => shared.grpc.classify(Ok::<_, &E>(&response)),
        });
        (response, outcome)
    }

    fn is_tunnel(&self, status: StatusCode) -> bool {
        status == StatusCode::SWITCHING_PROTOCOLS || (self.is_connect && status.is_success())
    }
}

impl<ReqBody, B, E> Flavor<Head, Request<ReqBody>, Response<B>, E> for Http
where
    ReqBody: 'static,
    B: Body<Data = Bytes>,
{
    type Response = Response<GuardedBody<B>>;
    type Error = E;
    type Asked = Asked;

    #[inline]
    fn asked(&self, head: &Head) -> Asked {
        Asked {
            flavor: self.clone(),
            protocol: Protocol::of_request(head),
            is_connect: head.method() == Method::CONNECT,
        }
    }

    fn answered(
        asked: Asked,
        mut permit: OwnedPermit,
        result: Result<Response<B>, E>,
    ) -> Result<Self::Response, E> {
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                permit.record(Outcome::Failure);
                return Err(error);
            }
        };
        if permit.is_timed()
            && let Some(Waited(span)) = response.extensions().get()
        {
            permit.waited(*span);
        }
        let (response, outcome) = asked.outcome::<B, E>(response);
        let over = match outcome {
            Outcome::Pending => false,
            Outcome::Success => {
                asked.flavor.0.bodies_unwatched
                    || permit.is_probe()
                    || response.body().is_end_stream()
                    || asked.is_tunnel(response.status())
            }
            _ => true,
        };
        if over {
            permit.record(outcome);
            return Ok(response.map(GuardedBody::inner));
        }
        permit.answered();
        let status_follows = outcome == Outcome::Pending && asked.protocol == Protocol::Grpc;
        if response.body().is_end_stream() {
            // Nothing follows: a gRPC call that has no status by now will have none.
            permit.record(if asked.protocol == Protocol::Http {
                Outcome::Success
            } else {
                asked.flavor.trailers(response.headers())
            });
            return Ok(response.map(GuardedBody::inner));
        }
        Ok(response.map(|body| {
            if status_follows {
                GuardedBody::until_its_status(body, permit, asked.flavor)
            } else {
                GuardedBody::until_its_end(body, permit)
            }
        }))
    }

    fn refuse(
        &self,
        request: Request<ReqBody>,
        name: &str,
        refused: &Refused,
    ) -> Instead<Self::Response, E> {
        let response = self.refusal(Head::of(&request), name, refused);
        Instead::Now(Ok(response.map(GuardedBody::full)))
    }

    #[inline]
    fn unjudged(response: Response<B>) -> Self::Response {
        response.map(GuardedBody::inner)
    }

    #[inline]
    fn error(error: E) -> E {
        error
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("bodies_unwatched", &self.bodies_unwatched)
            .finish_non_exhaustive()
    }
}
