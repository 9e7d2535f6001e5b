use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;

use super::{Awaits, End, Flight, Phase};
use crate::BodyError;

/// A place in a [`Flight`]. Dropping it leaves, and fails nobody else.
pub(crate) struct Seat<N> {
    flight: Arc<Flight<N>>,
    at: usize,
    /// Whether this reader was told of the end.
    ended: bool,
}

/// What a seat is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard<N> {
    /// The answer is there for everybody to whom it is of use.
    News(N),
    /// There is none for all: go on alone.
    GoOn,
}

impl<N> Seat<N> {
    pub(super) fn taken(flight: Arc<Flight<N>>, at: usize) -> Self {
        Self {
            flight,
            at,
            ended: false,
        }
    }

    /// Waits for the answer's head.
    pub(crate) fn poll_head(&self, cx: &Context<'_>) -> Poll<Heard<N>>
    where
        N: Clone,
    {
        let mut state = self.flight.lock();
        match &state.phase {
            Phase::Asked => {
                if let Some(Some(place)) = state.seats.get_mut(self.at) {
                    place.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            Phase::Told(news) => Poll::Ready(Heard::News(news.clone())),
            Phase::Dissolved => Poll::Ready(Heard::GoOn),
        }
    }

    /// Waits for a further piece of the body.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut guard = self.flight.lock();
        let state = &mut *guard;
        let Some(Some(place)) = state.seats.get_mut(self.at) else {
            return Poll::Ready(None);
        };
        if place.cut_off {
            self.ended = true;
            return Poll::Ready(Some(Err(BodyError::too_slow())));
        }
        if place.at < state.tape.end() {
            let Some(bytes) = state.tape.read(place.at) else {
                // An end here would look like that of the body.
                place.cut_off = true;
                self.ended = true;
                return Poll::Ready(Some(Err(BodyError::too_slow())));
            };
            place.at += bytes.len() as u64;
            let task = state.task_if(|_, awaits| awaits == Awaits::Room);
            drop(guard);
            if let Some(task) = task {
                task.wake();
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &state.end {
            None => {
                place.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(End::Clean(trailers)) => {
                self.ended = true;
                Poll::Ready(
                    trailers
                        .clone()
                        .map(|trailers| Ok(Frame::trailers(trailers))),
                )
            }
            Some(End::Broken(error)) => {
                self.ended = true;
                Poll::Ready(Some(Err(error.clone())))
            }
        }
    }

    /// Whether there is nothing left to wait for.
    pub(crate) fn is_at_its_end(&self) -> bool {
        if self.ended {
            return true;
        }
        let state = self.flight.lock();
        let at = state.seats.get(self.at).and_then(Option::as_ref);
        matches!(state.end, Some(End::Clean(None)))
            && at.is_none_or(|place| !place.cut_off && place.at == state.tape.end())
    }
}

impl<N> Drop for Seat<N> {
    fn drop(&mut self) {
        self.flight.leave(self.at);
    }
}

impl<N> fmt::Debug for Seat<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}
