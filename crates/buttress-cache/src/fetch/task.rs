use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use buttress_core::BoxFuture;
use http::Response;
use pin_project_lite::pin_project;

use super::{Asking, Fetch, Reply};
use crate::{CacheBody, Event, event::NotStored, keeping::Rest, pump::Pump, upstream::Payload};

pin_project! {
    /// Works on a fetch until it is stored, or nobody wants it.
    ///
    /// By hand, since an `async fn` keeps what it is given twice, once as an argument and once where it is
    /// used: with the functions that it would call it came to eleven kilobytes for each miss. Each stage
    /// takes the place of the one before, whose call is dropped with all that it holds.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct Task<F, B, E>
    where
        B: Payload,
    {
        #[pin]
        stage: Stage<F, B, E>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F, B, E>
    where
        B: Payload,
    {
        // The origin was asked.
        Asking { #[pin] answer: F, fetch: Option<(Box<Fetch>, Asking<B, E>)> },
        // It has answered; `opening` is there until somebody was told.
        Reading { #[pin] body: B, pump: Pump, opening: Option<Opening<B, E>> },
        // The store has not.
        Finishing { rest: BoxFuture<'static, ()> },
        Done,
    }
}

/// What is done when an answer was looked at.
#[expect(
    clippy::large_enum_variant,
    reason = "it is moved once, into the stage of the task"
)]
pub(crate) enum Next<B: Payload, E> {
    /// Nothing but this.
    Finish(Rest),
    /// Its body is read.
    Read {
        pump: Pump,
        body: B,
        opening: Opening<B, E>,
    },
}

/// The head of an answer that is being stored, for whoever asked for it.
pub(crate) struct Opening<B: Payload, E> {
    pub(crate) head: Response<()>,
    pub(crate) asking: Asking<B, E>,
}

impl<F, B: Payload, E> Task<F, B, E> {
    pub(crate) const fn asking(answer: F, fetch: Box<Fetch>, asking: Asking<B, E>) -> Self {
        Self {
            stage: Stage::Asking {
                answer,
                fetch: Some((fetch, asking)),
            },
        }
    }
}

impl<B: Payload, E: Send + 'static> Next<B, E> {
    fn stage<F>(self) -> Stage<F, B, E> {
        match self {
            Self::Finish(Some(rest)) => Stage::Finishing { rest },
            Self::Finish(None) => Stage::Done,
            Self::Read {
                pump,
                body,
                opening,
            } => Stage::Reading {
                body,
                pump,
                opening: Some(opening),
            },
        }
    }
}

impl<F, B, E> Future for Task<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Payload,
    E: Send + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut stage = self.project().stage;
        loop {
            let next = match stage.as_mut().project() {
                StageProjection::Asking { answer, fetch } => {
                    let polled = catch_unwind(AssertUnwindSafe(|| answer.poll(cx)));
                    if let (Ok(Poll::Pending), Some((fetch, _))) = (&polled, fetch.as_mut()) {
                        ready!(fetch.attendance.poll_deserted(cx));
                    }
                    match fetch.take() {
                        Some((fetch, asking)) => asked(polled, fetch, asking),
                        None => Next::Finish(None),
                    }
                }
                StageProjection::Reading {
                    mut body,
                    pump,
                    opening,
                } => {
                    let told = opening
                        .take()
                        .and_then(|opening| opening.tell(pump, body.as_mut(), cx));
                    Next::Finish(match told {
                        Some(rest) => rest,
                        None => ready!(pump.poll(body, cx)),
                    })
                }
                StageProjection::Finishing { rest } => {
                    ready!(rest.as_mut().poll(cx));
                    Next::Finish(None)
                }
                StageProjection::Done => return Poll::Ready(()),
            };
            stage.set(next.stage());
        }
    }
}

/// The origin has answered or panicked; or everybody has left.
fn asked<B: Payload, E: Send + 'static>(
    polled: std::thread::Result<Poll<Result<Response<B>, E>>>,
    fetch: Box<Fetch>,
    asking: Asking<B, E>,
) -> Next<B, E> {
    match polled {
        Ok(Poll::Ready(Ok(response))) => return fetch.answered(response, asking),
        Ok(Poll::Ready(Err(error))) => fetch.unreachable(error, asking),
        Ok(Poll::Pending) => {
            let why = NotStored::Deserted;
            fetch.shared.tell(&Event::NotStored { why });
        }
        Err(panic) => asking.reply(Reply::Panicked(panic)),
    }
    Next::Finish(None)
}

impl<B: Payload, E> Opening<B, E> {
    /// Tells everybody of the answer: of all of it, where that is there already. Then nothing is left to be
    /// read, and this is what the store has left to do.
    fn tell(self, pump: &mut Pump, body: Pin<&mut B>, cx: &mut Context<'_>) -> Option<Rest> {
        let Self { head, asking } = self;
        match pump.at_once(body, cx) {
            Some((whole, rest)) => {
                asking.answer(head.map(|()| CacheBody::stored(whole)));
                Some(rest)
            }
            None => {
                let length = pump.begin();
                asking.reply(Reply::Reading(head, length));
                None
            }
        }
    }
}
