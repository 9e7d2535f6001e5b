use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use buttress_core::{Sleep, clock::Sleeping};

use super::{Flight, Room};

/// Watches over a fetch whose readers may all leave.
#[derive(Debug)]
pub(crate) struct Attendance<N> {
    flight: Arc<Flight<N>>,
    timer: Arc<dyn Sleep>,
    /// For how long a fetch that nobody waits for goes on.
    grace: Option<Duration>,
    /// For how long a reader may hold others back.
    patience: Duration,
    running_out: Option<Sleeping>,
    impatience: Option<Sleeping>,
}

/// Nobody has waited for the fetch for longer than it may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deserted;

impl<N> Attendance<N> {
    pub(crate) fn of(
        flight: Arc<Flight<N>>,
        timer: Arc<dyn Sleep>,
        grace: Option<Duration>,
        patience: Duration,
    ) -> Self {
        Self {
            flight,
            timer,
            grace,
            patience,
            running_out: None,
            impatience: None,
        }
    }

    /// From here on nothing is done that nobody waits for.
    pub(crate) fn end_with_the_last(&mut self) {
        self.grace = None;
    }

    /// Does `work` for as long as somebody waits for it, and the time of grace after that.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Deserted> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            // What is done is of use even if nobody has waited for it.
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            self.poll_deserted(cx).map(Err)
        })
        .await
    }

    /// Whether nobody has waited for it for longer than it may go on; to be asked when the work waits.
    pub(crate) fn poll_deserted(&mut self, cx: &mut Context<'_>) -> Poll<Deserted> {
        loop {
            if self.flight.poll_deserted(cx).is_pending() {
                self.running_out = None;
                return Poll::Pending;
            }
            if let Some(grace) = self.grace {
                let timer = self
                    .running_out
                    .get_or_insert_with(|| self.timer.sleep(grace));
                ready!(std::pin::Pin::new(timer).poll(cx));
            }
            // Somebody may have come since.
            if self.flight.give_up() {
                return Poll::Ready(Deserted);
            }
            self.running_out = None;
        }
    }

    /// Waits until another piece of the body may come; who holds all others back for too long is cut off
    /// meanwhile.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Deserted>> {
        loop {
            let room = self.flight.poll_room(cx);
            if room.is_ready() {
                self.impatience = None;
                return room.map(|room| match room {
                    Room::Free => Ok(()),
                    Room::Deserted => Err(Deserted),
                });
            }
            let timer = self
                .impatience
                .get_or_insert_with(|| self.timer.sleep(self.patience));
            ready!(std::pin::Pin::new(timer).poll(cx));
            self.impatience = None;
            self.flight.cut_off_the_slowest();
        }
    }
}
