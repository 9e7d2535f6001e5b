use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use buttress_core::View;
use tower_service::Service;

use super::{ResponseFuture, Slow};
use crate::{Refuse, limits::Limits, lookup::Lookup, step::Step};

/// A request whose quotas are being looked up, and all that it takes to go on when they are known.
pub(crate) struct LookingUp<S, Req, T: ?Sized, R> {
    pub(crate) lookup: Lookup,
    pub(crate) limits: Arc<Limits<T>>,
    pub(crate) service: S,
    pub(crate) request: Req,
    pub(crate) refuse: R,
}

impl<S, Req, T, R> LookingUp<S, Req, T, R>
where
    S: Service<Req>,
    T: View<Req> + ?Sized + 'static,
    R: Refuse<T, S::Response, S::Error>,
{
    /// What the future is when all quotas are known.
    pub(super) fn poll(
        looking_up: &mut Option<Self>,
        cx: &mut Context<'_>,
    ) -> Poll<ResponseFuture<S, Req, T, R>> {
        let Some(this) = looking_up else {
            return Poll::Pending;
        };
        let (from, lookup) = (T::of(&this.request), &mut this.lookup);
        ready!(this.limits.poll_lookup(from, lookup, cx));
        match looking_up.take() {
            Some(known) => Poll::Ready(known.go_on(cx)),
            None => Poll::Pending,
        }
    }

    fn go_on(self, cx: &mut Context<'_>) -> ResponseFuture<S, Req, T, R> {
        let Self {
            mut lookup,
            limits,
            mut service,
            mut request,
            refuse,
        } = self;
        let from = T::of(&request);
        let (now, asked) = (limits.now(), lookup.asked());
        let step = limits.rule_on(now, asked, |ruling| {
            Step::of(ruling, &limits, &refuse, from)
        });
        match step {
            Step::Call(pass, permit) => {
                if let Some(permit) = permit {
                    limits.attach(&mut request, permit);
                }
                // Until the service was called: it may have to be waited for, fail, or panic.
                let mut held = limits.hold(&*asked, now);
                match service.poll_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        held.spend();
                        ResponseFuture::calling(service.call(request), pass)
                    }
                    Poll::Ready(Err(error)) => ResponseFuture::answered(Err(R::error(error))),
                    Poll::Pending => {
                        let held = held.for_longer();
                        let (limits, turn) = (Arc::clone(&limits), None);
                        ResponseFuture::slow(Slow::waiting(
                            turn, pass, held, limits, service, request, refuse,
                        ))
                    }
                }
            }
            Step::Refuse(out) => ResponseFuture::answered(out),
            Step::Ask(answer, held) => {
                ResponseFuture::slow(Slow::asking(answer, held, limits, service, request, refuse))
            }
            Step::Wait(pass, permit, turn, held) => {
                if let Some(permit) = permit {
                    limits.attach(&mut request, permit);
                }
                let turn = Some(turn);
                ResponseFuture::slow(Slow::waiting(
                    turn, pass, held, limits, service, request, refuse,
                ))
            }
            // All are known.
            Step::LookUp(lookup) => ResponseFuture::looking_up(Self {
                lookup,
                limits,
                service,
                request,
                refuse,
            }),
        }
    }
}
