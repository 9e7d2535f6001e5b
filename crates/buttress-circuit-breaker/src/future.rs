use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use buttress_core::BoxFuture;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{Flavor, OwnedPermit, flavor::Instead};

type Asked<S, Req, T, F> =
    <F as Flavor<T, Req, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Asked;
type Out<S, Req, T, F> = Result<
    <F as Flavor<T, Req, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Response,
    <F as Flavor<T, Req, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Error,
>;

pin_project! {
    /// The future of [`CircuitBreakerService`](crate::CircuitBreakerService).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, Req, T, F>
    where
        S: Service<Req>,
        T: ?Sized,
        F: Flavor<T, Req, S::Response, S::Error>,
    {
        #[pin]
        state: State<S, Req, T, F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, Req, T, F>
    where
        S: Service<Req>,
        T: ?Sized,
        F: Flavor<T, Req, S::Response, S::Error>,
    {
        // The future comes first: where both are dropped, the call ends before its permit is given back.
        Calling { #[pin] future: S::Future, held: Option<(Asked<S, Req, T, F>, OwnedPermit)> },
        Refused { out: Option<Out<S, Req, T, F>> },
        Elsewhere { future: BoxFuture<'static, Out<S, Req, T, F>> },
    }
}

impl<S, Req, T, F> ResponseFuture<S, Req, T, F>
where
    S: Service<Req>,
    T: ?Sized,
    F: Flavor<T, Req, S::Response, S::Error>,
{
    #[inline]
    pub(crate) fn calling(
        future: S::Future,
        asked: Asked<S, Req, T, F>,
        permit: OwnedPermit,
    ) -> Self {
        Self {
            state: State::Calling {
                future,
                held: Some((asked, permit)),
            },
        }
    }

    pub(crate) fn refused(instead: Instead<F::Response, F::Error>) -> Self {
        Self {
            state: match instead {
                Instead::Now(out) => State::Refused { out: Some(out) },
                Instead::Later(future) => State::Elsewhere { future },
            },
        }
    }
}

impl<S, Req, T, F> Future for ResponseFuture<S, Req, T, F>
where
    S: Service<Req>,
    T: ?Sized,
    F: Flavor<T, Req, S::Response, S::Error>,
{
    type Output = Out<S, Req, T, F>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Calling { future, held } => {
                let result = ready!(future.poll(cx));
                // Polled again after it was ready, it has nothing to say, as the contract allows.
                held.take().map_or(Poll::Pending, |(asked, permit)| {
                    Poll::Ready(F::answered(asked, permit, result))
                })
            }
            StateProjection::Refused { out } => out.take().map_or(Poll::Pending, Poll::Ready),
            StateProjection::Elsewhere { future } => future.as_mut().poll(cx),
        }
    }
}

impl<S, Req, T, F> fmt::Debug for ResponseFuture<S, Req, T, F>
where
    S: Service<Req>,
    T: ?Sized,
    F: Flavor<T, Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
