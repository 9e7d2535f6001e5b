use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::body::Body;
use buttress_core::BoxFuture;
use buttress_http::{LocalRefusal, Problem};
use buttress_retry::ReplayBody;
use http::{Request, Response};
use http_body::Body as _;
use intermediary::interim::Exchange;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{ByCircuit, Guarded, Upstreams, Wanted, attempt::Attempt};
use crate::{
    call::{Call, Decision},
    failure::Failure,
    patience::OfPath,
    refusal::Refusal,
    shared::call,
};

type Answer = Result<Response<Body>, Failure>;

/// One attempt of a call, at the first upstream that may be called: those that the call has not been to come first.
#[derive(Clone, Debug)]
pub(crate) struct Preferred(Arc<Attempts>);

/// What the attempts of a call share.
#[derive(Debug)]
struct Attempts {
    upstreams: Arc<Upstreams>,
    /// The upstreams that the call has been to.
    tried: AtomicU32,
    count: AtomicU32,
    /// For how long its path has them wait.
    patience: OfPath,
    tunnel: Option<Wanted>,
    exchange: Option<Exchange>,
}

/// What an attempt sends, and where it may go.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) body: Body,
    pub(super) plan: Plan,
}

/// The upstreams that are left to an attempt.
#[derive(Debug)]
pub(super) struct Plan {
    call: Preferred,
    new: u32,
    tried: u32,
}

/// The upstream after the one that refused; after the last one, an answer that tells when to come back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next;

impl Preferred {
    /// Of a new call, at a path that may have others wait for longer or shorter. It may want a `tunnel`, and its client may
    /// be sent interim responses.
    pub(crate) fn of(
        upstreams: &Arc<Upstreams>,
        patience: OfPath,
        tunnel: Option<Wanted>,
        exchange: Option<Exchange>,
    ) -> Self {
        Self(Arc::new(Attempts {
            upstreams: Arc::clone(upstreams),
            tried: AtomicU32::new(0),
            count: AtomicU32::new(0),
            patience,
            tunnel,
            exchange,
        }))
    }

    fn plan(&self) -> Plan {
        let tried = self.0.tried.load(Ordering::Relaxed);
        let all = self.0.upstreams.mask();
        Plan {
            call: self.clone(),
            new: all & !tried,
            tried: all & tried,
        }
    }

    fn attempt(&self, request: http::request::Parts, body: Body) -> Attempting {
        let plan = self.plan();
        attempt(Request::from_parts(request, Planned { body, plan }))
    }
}

impl Plan {
    /// An attempt goes to the upstream at this place. Tells which attempt of the call it is, from 1.
    pub(super) fn note(&self, index: usize) -> u32 {
        let Attempts { tried, count, .. } = &*self.call.0;
        tried.fetch_or(super::bit(index), Ordering::Relaxed);
        1 + count.fetch_add(1, Ordering::Relaxed)
    }

    /// The tunnel that the call wants, if it does.
    pub(super) fn tunnel(&self) -> Option<Wanted> {
        self.call.0.tunnel.clone()
    }

    /// To whom interim responses go.
    pub(super) fn exchange(&self) -> Option<Exchange> {
        self.call.0.exchange.clone()
    }

    /// For how long the call has others wait, where that is not as usual.
    pub(super) fn patience(&self) -> OfPath {
        self.call.0.patience
    }

    fn next(&mut self) -> Option<usize> {
        let left = if self.new != 0 {
            &mut self.new
        } else {
            &mut self.tried
        };
        let first = left.trailing_zeros();
        // Without its lowest bit.
        *left &= left.wrapping_sub(1);
        (first < u32::BITS).then_some(first as usize)
    }
}

impl Service<Request<Body>> for Preferred {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Attempting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        // What it calls is made ready when the turn comes.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Attempting {
        let (parts, body) = request.into_parts();
        self.attempt(parts, body)
    }
}

impl Service<Request<ReplayBody<Body>>> for Preferred {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Attempting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody<Body>>) -> Attempting {
        let (parts, body) = request.into_parts();
        let body = match body.is_end_stream() {
            // Most have none, for which nothing is allocated.
            true => Body::empty(),
            false => Body::new(body),
        };
        self.attempt(parts, body)
    }
}

impl Service<Request<Planned>> for Next {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Planned>) -> Self::Future {
        // A circuit's type holds that of what comes after it.
        Box::pin(attempt(request))
    }
}

/// Goes to the next upstream of the plan.
fn attempt(mut request: Request<Planned>) -> Attempting {
    let plan = &mut request.body_mut().plan;
    let next = plan.next();
    let upstreams = &plan.call.0.upstreams;
    let next = next.and_then(|index| upstreams.get(index));
    match next.map(|upstream| upstream.service.clone()) {
        None => Attempting::Nowhere {
            answer: Some(exhausted(upstreams)),
        },
        Some(Guarded::ByNone(mut attempt)) => Attempting::Unguarded {
            answer: call(&mut attempt, request),
        },
        Some(Guarded::ByCircuit(mut attempt)) => Attempting::Guarded {
            answer: call(&mut attempt, request),
        },
    }
}

pin_project! {
    /// The answer of the first upstream that may be called.
    #[project = AttemptingProjection]
    pub(crate) enum Attempting {
        Nowhere {
            answer: Option<Response<Body>>,
        },
        Unguarded {
            answer: <Attempt as Service<Request<Planned>>>::Future,
        },
        Guarded {
            #[pin]
            answer: <ByCircuit as Service<Request<Planned>>>::Future,
        },
    }
}

impl Future for Attempting {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        match self.project() {
            // Polled again after it was ready, it has nothing to say, as the contract allows.
            AttemptingProjection::Nowhere { answer } => answer
                .take()
                .map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            AttemptingProjection::Unguarded { answer } => answer.as_mut().poll(cx),
            AttemptingProjection::Guarded { answer } => {
                let answer = ready!(answer.poll(cx));
                Poll::Ready(answer.map(|answer| answer.map(Body::new)))
            }
        }
    }
}

/// No upstream may be called. The wait is that of the one which is ready first.
fn exhausted(upstreams: &Upstreams) -> Response<Body> {
    let wait = upstreams.ready_in();
    Call::note(|| Decision::of("upstreams", "exhausted").retry_after(wait));
    let names = upstreams.iter().map(super::Upstream::name);
    let problem = Problem::temporary_reduced_capacity(names);
    let mut response = Refusal::upstreams_unavailable(wait).into_response(problem);
    LocalRefusal::new(wait).mark(&mut response);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{CircuitBreakerConfig, Timeouts},
        shutdown::Shutdown,
    };

    fn order(count: usize, tried: &[usize]) -> Vec<usize> {
        let configs: Vec<_> = (0..count)
            .map(|port| format!("http://a:{}", port + 1).parse::<crate::config::UpstreamUrl>())
            .map(|url| url.unwrap().into())
            .collect();
        let circuit = CircuitBreakerConfig::default();
        let upstreams = Upstreams::build(
            &configs,
            Some(&circuit),
            &Timeouts::default(),
            &Shutdown::default(),
            None,
        );
        let call = Preferred::of(&upstreams.unwrap(), OfPath::default(), None, None);
        for index in tried {
            call.plan().note(*index);
        }
        let mut plan = call.plan();
        std::iter::from_fn(|| plan.next()).collect()
    }

    #[tokio::test]
    async fn what_was_tried_comes_last_and_each_comes_once() {
        assert_eq!(order(3, &[]), [0, 1, 2]);
        assert_eq!(order(3, &[0]), [1, 2, 0]);
        assert_eq!(order(3, &[0, 2]), [1, 0, 2]);
        assert_eq!(order(1, &[0]), [0]);
        assert_eq!(order(0, &[]), [0_usize; 0]);
        assert_eq!(order(32, &[]).len(), 32);
    }
}
