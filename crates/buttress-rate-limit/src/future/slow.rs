use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use buttress_core::{BoxFuture, View};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Out, Pass};
use crate::{Refusal, Refuse, held::Held, limits::Limits, store::Answer, turn::Turn};

pin_project! {
    /// The slow way: wait for the store's answer and for the turn, make a fresh service ready, call it.
    pub(crate) struct Slow<S, Req, T, R>
    where
        S: Service<Req>,
        T: ?Sized,
        R: Refuse<T, S::Response, S::Error>,
    {
        answer: Option<BoxFuture<'static, Answer>>,
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
        answer: BoxFuture<'static, Answer>,
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

    /// With nothing more to wait for than the service, where there is no turn.
    pub(crate) fn waiting(
        turn: Option<Turn>,
        pass: Pass<S, Req, T, R>,
        held: Held,
        limits: Arc<Limits<T>>,
        service: S,
        request: Req,
        refuse: R,
    ) -> Self {
        Self {
            answer: None,
            turn,
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

        if let Some(answer) = this.answer {
            let answer = ready!(answer.as_mut().poll(cx));
            *this.answer = None;
            let Some((service, mut request)) = this.waiting.take() else {
                return Poll::Pending;
            };
            let (held, limits, refuse) = (&mut *this.held, &**this.limits, &*this.refuse);
            let from = T::of(&request);
            let ruled = held.settle(&answer, |standing, refused_by| match refused_by {
                Some(by) => Err(refuse.refuse(from, &Refusal::over_limit(by, standing))),
                None => {
                    limits.shadow(from);
                    let permit = limits.permit(&standing, refuse.settles());
                    let pass = refuse.pass(Some(&standing), permit.as_ref());
                    Ok((pass, permit, limits.turn(&standing)))
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
        let mut result = R::forward(ready!(future.poll(cx)));
        this.calling.set(None);
        if let Some(pass) = this.pass.take() {
            R::finish(pass, &mut result);
        }
        Poll::Ready(result)
    }
}
