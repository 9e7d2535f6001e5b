mod alarm;
mod between;
mod held;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use self::between::{Between, Turn};
pub(crate) use self::{alarm::Alarm, held::Held};
use crate::{
    Flavor, Judgment, Outgoing, error::Failed, flavor::Judged, settings::Hold, shared::Shared,
};

type Attempt<Req, F> = <F as Outgoing<Req>>::Attempt;

/// What an attempt came to.
type Answer<S, Req, F> = Result<
    <S as Service<Attempt<Req, F>>>::Response,
    Failed<<S as Service<Attempt<Req, F>>>::Error>,
>;

type Out<S, Req, F> = Result<
    <F as Flavor<
        Req,
        <S as Service<Attempt<Req, F>>>::Response,
        <S as Service<Attempt<Req, F>>>::Error,
    >>::Response,
    <F as Flavor<
        Req,
        <S as Service<Attempt<Req, F>>>::Response,
        <S as Service<Attempt<Req, F>>>::Error,
    >>::Error,
>;

pin_project! {
    /// The future of [`Retry`](crate::Retry).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, Req, F>
    where
        F: Outgoing<Req>,
        F: Flavor<Req, S::Response, S::Error>,
        S: Service<<F as Outgoing<Req>>::Attempt>,
    {
        #[pin]
        pub(crate) stage: Stage<S, Req, F>,
        // `None` once the call is over.
        pub(crate) held: Option<Held<S, Req, F>>,
    }
}

pin_project! {
    #[project = StageProjection]
    pub(crate) enum Stage<S, Req, F>
    where
        F: Outgoing<Req>,
        F: Flavor<Req, S::Response, S::Error>,
        S: Service<<F as Outgoing<Req>>::Attempt>,
    {
        Attempting {
            #[pin]
            future: S::Future,
            limit: Option<Alarm>,
        },
        // Between two attempts or, before a parked upstream, in front of the first. Boxed, so that the usual future stays
        // small.
        Between { between: Box<Between<S, Req, F>> },
        // In passing.
        Nowhere,
    }
}

impl<S, Req, F> Stage<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    fn between(between: Between<S, Req, F>) -> Self {
        Self::Between {
            between: Box::new(between),
        }
    }
}

impl<S, Req, F> ResponseFuture<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    /// The first attempt has not been made, for the upstream is parked.
    #[cold]
    pub(crate) fn held_back(hold: Hold, attempt: Attempt<Req, F>, held: Held<S, Req, F>) -> Self {
        Self {
            stage: Stage::between(Between::held_back(hold, attempt)),
            held: Some(held),
        }
    }
}

impl<S, Req, F> Future for ResponseFuture<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt> + Clone,
{
    type Output = Out<S, Req, F>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // Polled again after it was ready, it has nothing to say, as the contract allows.
        let Some(held) = this.held else {
            return Poll::Pending;
        };
        let out = loop {
            let out = match this.stage.as_mut().project() {
                StageProjection::Attempting { future, limit } => {
                    let Shared { settings, flavor } = &*held.shared;
                    let answer = match future.poll(cx) {
                        Poll::Ready(Ok(response)) => Ok(response),
                        Poll::Ready(Err(error)) => Err(Failed::Inner(error)),
                        Poll::Pending => {
                            let Some(limit) = limit else {
                                return Poll::Pending;
                            };
                            ready!(limit.poll(settings, cx));
                            Err(Failed::TimedOut)
                        }
                    };
                    let judged = flavor.judge(&held.call, answer.as_ref());
                    // The attempt's future goes before anything else is done.
                    this.stage.set(Stage::Nowhere);
                    let is_first = held.progress.attempts == 1;
                    match answer {
                        Ok(response) if is_first && judged == Judged::Known(Judgment::Success) => {
                            held.succeeded();
                            if !settings.is_listened_to() {
                                // To the caller without a stop: each would be a copy.
                                *this.held = None;
                                return Poll::Ready(Ok(F::wrap(response)));
                            }
                            break held.told_of_success(response);
                        }
                        answer => held.answered(answer, judged, this.stage.as_mut(), cx),
                    }
                }
                StageProjection::Between { between } => match ready!(between.poll(held, cx)) {
                    Turn::Judged(response, judgment, since) => {
                        let stage = this.stage.as_mut();
                        held.judged(Ok(response), judgment, since, stage, cx)
                    }
                    Turn::Call(attempt, now) => {
                        held.call(attempt, now, this.stage.as_mut());
                        None
                    }
                    Turn::Over(out) => Some(out),
                },
                StageProjection::Nowhere => return Poll::Pending,
            };
            if let Some(out) = out {
                break out;
            }
        };
        this.stage.set(Stage::Nowhere);
        // With the answer, and not with the future: whoever keeps that would keep the request and a service.
        *this.held = None;
        Poll::Ready(out)
    }
}

impl<S, Req, F> fmt::Debug for ResponseFuture<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
