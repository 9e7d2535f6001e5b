use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::Body;
use buttress_core::BoxFuture;
use buttress_http::{LocalRefusal, Problem};
use http::{Request, Response};
use tower::ServiceExt as _;
use tower_service::Service;

use super::{Guarded, Upstreams};
use crate::{
    call::{Call, Decision},
    failure::Failure,
    patience::OfPath,
    refusal::Refusal,
};

type Answer = Result<Response<Body>, Failure>;

/// One attempt of a call, at the first upstream that may be called: those that the call has not been to come first.
#[derive(Clone, Debug)]
pub(crate) struct Preferred {
    upstreams: Arc<Upstreams>,
    /// Shared by the attempts of the call.
    tried: Arc<Tried>,
}

/// The upstreams that a call has been to.
#[derive(Debug, Default)]
struct Tried {
    upstreams: AtomicU32,
    attempts: AtomicU32,
    /// For how long its path has them wait.
    patience: OfPath,
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
    /// Of a new call, at a path that may have others wait for longer or shorter.
    pub(crate) fn of(upstreams: &Arc<Upstreams>, patience: OfPath) -> Self {
        Self {
            upstreams: Arc::clone(upstreams),
            tried: Arc::new(Tried {
                patience,
                ..Tried::default()
            }),
        }
    }

    fn plan(&self) -> Plan {
        let tried = self.tried.upstreams.load(Ordering::Relaxed);
        let all = self.upstreams.mask();
        Plan {
            call: self.clone(),
            new: all & !tried,
            tried: all & tried,
        }
    }
}

impl Plan {
    /// An attempt goes to the upstream at this place. Tells which attempt of the call it is, from 1.
    pub(super) fn note(&self, index: usize) -> u32 {
        let tried = &self.call.tried;
        tried
            .upstreams
            .fetch_or(super::bit(index), Ordering::Relaxed);
        1 + tried.attempts.fetch_add(1, Ordering::Relaxed)
    }

    /// For how long the call has others wait, where that is not as usual.
    pub(super) fn patience(&self) -> OfPath {
        self.call.tried.patience
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
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let plan = self.plan();
        Next.call(request.map(|body| Planned { body, plan }))
    }
}

impl Service<Request<Planned>> for Next {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        // What it calls is made ready when the turn comes.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Planned>) -> Self::Future {
        let plan = &mut request.body_mut().plan;
        let next = plan.next().and_then(|index| plan.call.upstreams.get(index));
        let Some(upstream) = next else {
            return Box::pin(ready(Ok(exhausted(&plan.call.upstreams))));
        };
        match upstream.service.clone() {
            Guarded::ByNone(mut attempt) => attempt.call(request),
            Guarded::ByCircuit(guarded) => {
                let answer = |response: Response<_>| response.map(Body::new);
                Box::pin(guarded.map_response(answer).oneshot(request))
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
        let call = Preferred::of(&upstreams.unwrap(), OfPath::default());
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
