mod slow;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use buttress_core::clock::Sleeping;
use pin_project_lite::pin_project;
use tower_service::Service;

use self::slow::Slow;
use crate::{
    Ended, Flavor, Judgment, Outgoing, error::Failed, flavor::Judged, settings::Progress,
    shared::Shared,
};

/// What a call holds between its attempts.
pub(crate) struct Held<S, Req, F>
where
    F: Outgoing<Req>,
{
    pub(crate) service: S,
    pub(crate) shared: Arc<Shared<F>>,
    pub(crate) call: F::Call,
    pub(crate) progress: Progress,
}

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
        state: State<S, Req, F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, Req, F>
    where
        F: Outgoing<Req>,
        F: Flavor<Req, S::Response, S::Error>,
        S: Service<<F as Outgoing<Req>>::Attempt>,
    {
        // The first attempt.
        Calling {
            #[pin]
            future: S::Future,
            timer: Option<Sleeping>,
            held: Option<Held<S, Req, F>>,
        },
        // What comes after it or, before a parked upstream, in front of it. Boxed, so that the usual future stays small.
        Slow { slow: Pin<Box<Slow<S, Req, F>>> },
    }
}

impl<S, Req, F> ResponseFuture<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    #[inline]
    pub(crate) fn calling(
        future: S::Future,
        timer: Option<Sleeping>,
        held: Held<S, Req, F>,
    ) -> Self {
        Self {
            state: State::Calling {
                future,
                timer,
                held: Some(held),
            },
        }
    }

    pub(crate) fn waiting(wait: Duration, attempt: Attempt<Req, F>, held: Held<S, Req, F>) -> Self {
        Self::slow(Slow::waiting(wait, attempt, held))
    }

    pub(crate) fn refused(wait: Duration, held: Held<S, Req, F>) -> Self {
        Self::slow(Slow::refused(wait, held))
    }

    fn slow(slow: Slow<S, Req, F>) -> Self {
        Self {
            state: State::Slow {
                slow: Box::pin(slow),
            },
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
        let mut state = self.project().state;
        let slow = match state.as_mut().project() {
            StateProjection::Slow { slow } => return slow.as_mut().poll(cx),
            StateProjection::Calling {
                future,
                timer,
                held: held_here,
            } => {
                let answer = ready!(poll_attempt::<S, Req, F>(future, timer, cx));
                // Read where it is: it is as large as a request's head, and mostly not needed any more.
                let Some(held) = held_here.as_ref() else {
                    // Polled again after it was ready, it has nothing to say, as the contract allows.
                    return Poll::Pending;
                };
                let judged = held.shared.flavor.judge(&held.call, &answer);
                match answer {
                    Ok(response) if judged == Judged::Known(Judgment::Success) => {
                        let out = held.succeeded(response);
                        *held_here = None;
                        return Poll::Ready(out);
                    }
                    answer => match held_here.take() {
                        Some(held) => Slow::after(answer, judged, held),
                        None => return Poll::Pending,
                    },
                }
            }
        };
        // The attempt's future goes before anything else is done.
        state.set(State::Slow {
            slow: Box::pin(slow),
        });
        match state.project() {
            StateProjection::Slow { slow } => slow.as_mut().poll(cx),
            StateProjection::Calling { .. } => Poll::Pending,
        }
    }
}

impl<S, Req, F> Held<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    /// At the first attempt.
    #[inline]
    fn succeeded(&self, response: S::Response) -> Out<S, Req, F> {
        let settings = &self.shared.settings;
        settings.budget.succeeded();
        let response = F::wrap(response);
        if !settings.is_listened_to() {
            return Ok(response);
        }
        let report = settings.report(&self.progress, Ended::Success);
        let flavor = &self.shared.flavor;
        flavor.finish(&self.call, Ok(response), report, settings.tell_always)
    }
}

/// The answer of an attempt, or that it takes too long.
fn poll_attempt<S, Req, F>(
    future: Pin<&mut S::Future>,
    timer: &mut Option<Sleeping>,
    cx: &mut Context<'_>,
) -> Poll<Answer<S, Req, F>>
where
    F: Outgoing<Req>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    if let Poll::Ready(result) = future.poll(cx) {
        return Poll::Ready(result.map_err(Failed::Inner));
    }
    let Some(timer) = timer else {
        return Poll::Pending;
    };
    ready!(Pin::new(timer).poll(cx));
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
