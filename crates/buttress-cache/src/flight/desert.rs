use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use buttress_core::{
    Clock as _, Sleep, Tick,
    clock::{AnyClock, Sleeping},
};

use super::{Flight, Room};
use crate::budget::Reservation;

/// Watches over a fetch whose readers may all leave.
#[derive(Debug)]
pub(crate) struct Attendance<N> {
    flight: Arc<Flight<N>>,
    timer: Arc<dyn Sleep>,
    /// For how long a fetch that nobody waits for goes on.
    grace: Option<Duration>,
    /// For how long in all readers may still hold others back.
    patience: Duration,
    held_back_since: Option<Tick>,
    running_out: Option<Sleeping>,
    impatience: Option<Sleeping>,
    pressure: Option<Pressure>,
}

/// What is kept for the slowest stands in the way of what others want to store.
#[derive(Debug)]
pub(crate) struct Pressure {
    until: Sleeping,
    /// What pays for it meanwhile.
    _room: Reservation,
}

impl Pressure {
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.until).poll(cx)
    }
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
            held_back_since: None,
            running_out: None,
            impatience: None,
            pressure: None,
        }
    }

    /// From here on nothing is done that nobody waits for.
    pub(crate) fn end_with_the_last(&mut self) {
        self.grace = None;
    }

    /// Whoever has not read what is kept by then is cut off; `room` pays for it until then.
    pub(crate) fn press(&mut self, room: Reservation, span: Duration) {
        self.pressure = Some(Pressure {
            until: self.timer.sleep(span),
            _room: room,
        });
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
                ready!(Pin::new(timer).poll(cx));
            }
            // Somebody may have come since.
            if self.flight.give_up() {
                return Poll::Ready(Deserted);
            }
            self.running_out = None;
        }
    }

    /// The pressure that there is still, when the body has come to its end.
    pub(crate) fn take_pressure(&mut self) -> Option<Pressure> {
        self.pressure.take()
    }

    /// Waits until another piece of the body may come. Who holds others back for too long is cut off
    /// meanwhile, and who does not read what there is no room for.
    pub(crate) fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        clock: &AnyClock,
    ) -> Poll<Result<(), Deserted>> {
        loop {
            let room = self.flight.poll_room(cx);
            let held_back = room.is_pending() && self.flight.is_held_back();
            self.account(held_back, clock);
            if !self.flight.holds_the_first() {
                self.pressure = None;
            }
            if let Some(pressure) = &mut self.pressure
                && pressure.poll_over(cx).is_ready()
            {
                self.pressure = None;
                self.flight.cut_off_the_slowest();
                continue;
            }
            if room.is_ready() {
                return room.map(|room| match room {
                    Room::Free => Ok(()),
                    Room::Deserted => Err(Deserted),
                });
            }
            if !held_back {
                return Poll::Pending;
            }
            let timer = self
                .impatience
                .get_or_insert_with(|| self.timer.sleep(self.patience));
            ready!(Pin::new(timer).poll(cx));
            self.account(false, clock);
            // Whatever the clock says.
            self.patience = Duration::ZERO;
            self.flight.cut_off_the_slowest();
        }
    }

    /// The time in which somebody is held back counts, however often it begins anew.
    fn account(&mut self, held_back: bool, clock: &AnyClock) {
        match self.held_back_since {
            None if held_back => self.held_back_since = Some(clock.now()),
            Some(since) if !held_back => {
                let spent = clock.now().saturating_duration_since(since);
                self.patience = self.patience.saturating_sub(spent);
                self.held_back_since = None;
                self.impatience = None;
            }
            _ => {}
        }
    }
}
