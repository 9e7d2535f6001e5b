use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use buttress_core::View;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    Refusal, Refuse,
    held::Held,
    limits::Limits,
    ruling::{Later, Ruling},
    turn::Turn,
};

type Out<S, Req, T, R> = Result<
    <R as Refuse<T, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Response,
    <R as Refuse<T, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Error,
>;
type Pass<S, Req, T, R> =
    <R as Refuse<T, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Pass;

pin_project! {
    /// The future of [`RateLimit`](crate::RateLimit).
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
        Refused { out: Option<Out<S, Req, T, R>> },
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

    pub(crate) fn refused(out: Out<S, Req, T, R>) -> Self {
        Self {
            state: State::Refused { out: Some(out) },
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

impl<S, Req, T, R> Future for ResponseFuture<S, Req, T, R>
where
    S: Service<Req>,
    T: View<Req> + ?Sized + 'static,
    R: Refuse<T, S::Response, S::Error>,
{
    type Output = Out<S, Req, T, R>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Calling { future, pass } => {
                let result = ready!(future.poll(cx));
                pass.take()
                    .map_or(Poll::Pending, |pass| Poll::Ready(R::finish(pass, result)))
            }
            // Polled again after it was ready, it has nothing to say, as the contract allows.
            StateProjection::Refused { out } => out.take().map_or(Poll::Pending, Poll::Ready),
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

pin_project! {
    /// The slow way: ask the store, wait for the turn, make a fresh service ready, call it.
    pub(crate) struct Slow<S, Req, T, R>
    where
        S: Service<Req>,
        T: ?Sized,
        R: Refuse<T, S::Response, S::Error>,
    {
        answer: Option<Later>,
        turn: Option<Turn>,
        held: Held,
        limits: Arc<Limits<T>>,
        waiting: Option<(S, Req)>,
        refuse: R,
        pass: Option<Pass<S, Req, T, R>>,
        #[pin]
        calling: Option<S::Future>,
    }
}

impl<S, Req, T, R> Slow<S, Req, T, R>
where
    S: Service<Req>,
    T: ?Sized,
    R: Refuse<T, S::Response, S::Error>,
{
    pub(crate) fn asking(
        answer: Later,
        held: Held,
        limits: Arc<Limits<T>>,
        service: S,
        request: Req,
        refuse: R,
    ) -> Self {
        Self {
            answer: Some(answer),
            turn: None,
            held,
            limits,
            waiting: Some((service, request)),
            refuse,
            pass: None,
            calling: None,
        }
    }

    pub(crate) fn waiting(
        turn: Turn,
        pass: Pass<S, Req, T, R>,
        held: Held,
        limits: Arc<Limits<T>>,
        service: S,
        request: Req,
        refuse: R,
    ) -> Self {
        Self {
            answer: None,
            turn: Some(turn),
            held,
            limits,
            waiting: Some((service, request)),
            refuse,
            pass: Some(pass),
            calling: None,
        }
    }
}

impl<S, Req, T, R> Future for Slow<S, Req, T, R>
where
    S: Service<Req>,
    T: View<Req> + ?Sized + 'static,
    R: Refuse<T, S::Response, S::Error>,
{
    type Output = Out<S, Req, T, R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();

        if let Some(asked) = this.answer {
            let answer = match asked {
                Later::Store(asked) => ready!(asked.as_mut().poll(cx)),
                Later::Lookup(asked) => {
                    let (asked, answer) = ready!(asked.as_mut().poll(cx));
                    this.held.found(asked);
                    answer
                }
            };
            *this.answer = None;
            let Some((service, mut request)) = this.waiting.take() else {
                return Poll::Pending;
            };
            let (held, limits, refuse) = (&mut *this.held, &**this.limits, &*this.refuse);
            let from = T::of(&request);
            let ruled = held.settle(&answer, |ruling| match ruling {
                Ruling::Refused { by, standing } => {
                    Err(refuse.refuse(from, &Refusal::over_limit(by, standing)))
                }
                Ruling::Admitted(standing) => {
                    limits.shadow(from);
                    let permit = limits.permit(&standing, refuse.settles());
                    let pass = refuse.pass(Some(&standing), permit.as_ref());
                    Ok((pass, permit, limits.turn(&standing)))
                }
                // These were ruled before the store was asked.
                Ruling::Allowed | Ruling::Denied | Ruling::NoKey { .. } | Ruling::Later { .. } => {
                    Ok((refuse.pass(None, None), None, None))
                }
            });
            match ruled {
                Ok((pass, permit, turn)) => {
                    *this.turn = turn;
                    if let Some(permit) = permit {
                        limits.attach(&mut request, permit);
                    }
                    *this.pass = Some(pass);
                    *this.waiting = Some((service, request));
                }
                Err(out) => return Poll::Ready(out),
            }
        }

        if let Some(turn) = this.turn {
            ready!(turn.poll(cx));
            *this.turn = None;
        }

        if let Some((service, _)) = this.waiting {
            if let Err(error) = ready!(service.poll_ready(cx)) {
                *this.waiting = None;
                return Poll::Ready(Err(R::error(error)));
            }
            if let Some((mut service, request)) = this.waiting.take() {
                this.held.spend();
                this.calling.set(Some(service.call(request)));
            }
        }

        let Some(future) = this.calling.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let result = ready!(future.poll(cx));
        this.calling.set(None);
        this.pass
            .take()
            .map_or(Poll::Pending, |pass| Poll::Ready(R::finish(pass, result)))
    }
}
