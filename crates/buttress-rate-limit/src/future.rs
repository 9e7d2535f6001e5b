mod looking_up;
mod slow;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use buttress_core::View;
use pin_project_lite::pin_project;
use tower_service::Service;

pub(crate) use self::{looking_up::LookingUp, slow::Slow};
use crate::Refuse;

type Out<S, Req, T, R> = Result<
    <R as Refuse<T, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Response,
    <R as Refuse<T, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Error,
>;
type Pass<S, Req, T, R> =
    <R as Refuse<T, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Pass;

pin_project! {
    /// The future of [`RateLimit`](crate::RateLimit).
    ///
    /// Not to be polled again once it was ready: like tower's own, it may ask the inner service's future again then, which may
    /// panic. What was charged and settled stays as it is.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, Req, T, R>
    where
        S: Service<Req>,
        T: ?Sized,
        R: Refuse<T, S::Response, S::Error>,
    {
        #[pin]
        state: State<S, Req, T, R>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, Req, T, R>
    where
        S: Service<Req>,
        T: ?Sized,
        R: Refuse<T, S::Response, S::Error>,
    {
        Calling { #[pin] future: S::Future, pass: Option<Pass<S, Req, T, R>> },
        Answered { out: Option<Out<S, Req, T, R>> },
        // In place: the box of a lookup is the one allocation that it costs.
        LookingUp { looking_up: Option<LookingUp<S, Req, T, R>> },
        // Boxed, so that the usual future stays small.
        Slow { slow: Pin<Box<Slow<S, Req, T, R>>> },
    }
}

impl<S, Req, T, R> ResponseFuture<S, Req, T, R>
where
    S: Service<Req>,
    T: ?Sized,
    R: Refuse<T, S::Response, S::Error>,
{
    #[inline]
    pub(crate) fn calling(future: S::Future, pass: Pass<S, Req, T, R>) -> Self {
        Self {
            state: State::Calling {
                future,
                pass: Some(pass),
            },
        }
    }

    pub(crate) fn answered(out: Out<S, Req, T, R>) -> Self {
        Self {
            state: State::Answered { out: Some(out) },
        }
    }

    pub(crate) fn looking_up(looking_up: LookingUp<S, Req, T, R>) -> Self {
        Self {
            state: State::LookingUp {
                looking_up: Some(looking_up),
            },
        }
    }

    pub(crate) fn slow(slow: Slow<S, Req, T, R>) -> Self {
        Self {
            state: State::Slow {
                slow: Box::pin(slow),
            },
        }
    }
}

impl<S, Req, T, R> ResponseFuture<S, Req, T, R>
where
    S: Service<Req>,
    T: View<Req> + ?Sized + 'static,
    R: Refuse<T, S::Response, S::Error>,
{
    /// Waits for the quotas, and goes on.
    #[cold]
    #[inline(never)]
    fn look_up(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<<Self as Future>::Output> {
        let mut state = self.as_mut().project().state;
        if let StateProjection::LookingUp { looking_up } = state.as_mut().project() {
            let known = ready!(LookingUp::poll(looking_up, cx));
            state.set(known.state);
        }
        self.poll(cx)
    }
}

impl<S, Req, T, R> Future for ResponseFuture<S, Req, T, R>
where
    S: Service<Req>,
    T: View<Req> + ?Sized + 'static,
    R: Refuse<T, S::Response, S::Error>,
{
    type Output = Out<S, Req, T, R>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.as_mut().project().state.project() {
            StateProjection::Calling { future, pass } => {
                // Asked before the response is there: one that may yet be written into is copied once more, and a processor
                // waits for what was just written in other pieces than it is read in.
                if pass.as_ref().is_some_and(|pass| !R::remembers(pass)) {
                    let result = ready!(future.poll(cx));
                    *pass = None;
                    return Poll::Ready(R::forward(result));
                }
                let mut result = R::forward(ready!(future.poll(cx)));
                if let Some(pass) = pass.take() {
                    R::finish(pass, &mut result);
                }
                Poll::Ready(result)
            }
            // Polled again after it was ready, it has nothing to say, as the contract allows.
            StateProjection::Answered { out } => out.take().map_or(Poll::Pending, Poll::Ready),
            StateProjection::LookingUp { .. } => self.look_up(cx),
            StateProjection::Slow { slow } => slow.as_mut().poll(cx),
        }
    }
}

impl<S, Req, T, R> fmt::Debug for ResponseFuture<S, Req, T, R>
where
    S: Service<Req>,
    T: ?Sized,
    R: Refuse<T, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
