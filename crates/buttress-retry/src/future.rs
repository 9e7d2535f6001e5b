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
    Flavor, Judgment, Outgoing,
    error::Failed,
    flavor::Judged,
    settings::{Hold, Settings},
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
        pub(crate) held: Held<S, Req, F>,
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
        // In passing, and once the call is over.
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
            held,
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
        let held = this.held;
        loop {
            let out = match this.stage.as_mut().project() {
                StageProjection::Attempting { future, limit } => {
                    let settings = &held.shared.settings;
                    let answer = ready!(poll_attempt::<S, Req, F>(future, limit, settings, cx));
                    let judged = held.shared.flavor.judge(&held.call, &answer);
                    let is_first = held.progress.attempts == 1;
                    match answer {
                        Ok(response) if is_first && judged == Judged::Known(Judgment::Success) => {
                            let out = held.succeeded(response);
                            this.stage.set(Stage::Nowhere);
                            return Poll::Ready(out);
                        }
                        answer => {
                            // The attempt's future goes before anything else is done.
                            this.stage.set(Stage::Nowhere);
                            held.answered(answer, judged, this.stage.as_mut(), cx)
                        }
                    }
                }
                StageProjection::Between { between } => match ready!(between.poll(held, cx)) {
                    Turn::Judged(response, judgment) => {
                        held.judged(Ok(response), judgment, this.stage.as_mut(), cx)
                    }
                    Turn::Call(attempt, now) => {
                        held.call(attempt, now, this.stage.as_mut());
                        None
                    }
                    Turn::Over(out) => {
                        this.stage.set(Stage::Nowhere);
                        Some(out)
                    }
                },
                // Polled again after it was ready, it has nothing to say, as the contract allows.
                StageProjection::Nowhere => return Poll::Pending,
            };
            if let Some(out) = out {
                return Poll::Ready(out);
            }
        }
    }
}

/// The answer of an attempt, or that it takes too long.
fn poll_attempt<S, Req, F>(
    future: Pin<&mut S::Future>,
    limit: &mut Option<Alarm>,
    settings: &Settings,
    cx: &mut Context<'_>,
) -> Poll<Answer<S, Req, F>>
where
    F: Outgoing<Req>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    if let Poll::Ready(result) = future.poll(cx) {
        return Poll::Ready(result.map_err(Failed::Inner));
    }
    let Some(limit) = limit else {
        return Poll::Pending;
    };
    ready!(limit.poll(settings, cx));
    Poll::Ready(Err(Failed::TimedOut))
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
