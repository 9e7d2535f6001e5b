//! One fetch, for all who asked for the same at the same time.
//!
//! The fetch is nobody's: a task of its own works on it, and everybody else, the request that caused it
//! included, has a [`Seat`]. Seats are told of the answer's head, then read the body as it arrives.
//!
//! - While the body is kept ([`Tape`]), nobody holds anybody back, and newcomers take a seat.
//! - Once it is not (it outgrew the bound), at most [`WINDOW`] bytes wait for the slowest, who is cut off
//!   if others wait for it in vain.
//! - What is there for those who lag behind is paid for: out of a budget of its own or, where that has
//!   nothing left, for a bounded time out of that of bodies on their way into the store. Then they get
//!   what the store still has, and nothing of what it has not.
//! - Each seat that waits is woken once per piece of news.

mod desert;
#[cfg(all(test, loom))]
mod interleavings;
mod seat;
mod tape;
#[cfg(all(test, not(loom)))]
mod tests;

use std::{
    fmt,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;

use self::tape::Tape;
pub(crate) use self::{
    desert::Attendance,
    seat::{Heard, Seat},
};
use crate::{
    BodyError,
    budget::Reservation,
    sync::{Mutex, MutexGuard, lock},
};

/// What may wait for the slowest reader of a body that is not kept.
const WINDOW: u64 = 256 * 1024;

/// One fetch; `N` is the news that its seats are told when the answer's head is there.
pub(crate) struct Flight<N> {
    state: Mutex<State<N>>,
}

struct State<N> {
    phase: Phase<N>,
    tape: Tape,
    end: Option<End>,
    seats: Vec<Option<Place>>,
    /// Places of `seats` that nobody sits on.
    free: Vec<usize>,
    /// For what is held for those who have not read it yet.
    held: Option<Reservation>,
    task: Option<(Waker, Awaits)>,
}

/// What the task is to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    /// It waits for the slowest to read on, or for all to leave.
    Room,
    /// It waits for all to leave, beside something else.
    Leaving,
}

enum Phase<N> {
    Asked,
    /// Everybody reads the same.
    Told(N),
    /// Everybody goes on alone.
    Dissolved,
}

#[derive(Debug)]
enum End {
    Clean(Option<HeaderMap>),
    Broken(BodyError),
}

#[derive(Debug, Default)]
struct Place {
    waker: Option<Waker>,
    /// How much of the body it has had.
    at: u64,
    cut_off: bool,
}

/// Whether a fetch may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is room for another piece.
    Free,
    /// Nobody reads.
    Deserted,
}

impl<N> Flight<N> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                phase: Phase::Asked,
                tape: Tape::keeping(0),
                end: None,
                seats: Vec::new(),
                free: Vec::new(),
                held: None,
                task: None,
            }),
        })
    }

    /// A seat, unless the fetch can be of no use to a newcomer any more.
    pub(crate) fn join(self: &Arc<Self>) -> Option<Seat<N>> {
        let mut state = self.lock();
        let useful = match state.phase {
            Phase::Asked => true,
            Phase::Told(_) => {
                state.tape.has_its_beginning() && !matches!(state.end, Some(End::Broken(_)))
            }
            Phase::Dissolved => false,
        };
        useful.then(|| {
            let place = Some(Place::default());
            let at = match state.free.pop() {
                Some(at) => {
                    if let Some(seat) = state.seats.get_mut(at) {
                        *seat = place;
                    }
                    at
                }
                None => {
                    state.seats.push(place);
                    state.seats.len() - 1
                }
            };
            Seat::taken(Arc::clone(self), at)
        })
    }

    /// The head is there, and a body of which `expected` bytes are known follows.
    pub(crate) fn tell(&self, news: N, expected: usize) {
        self.change(|state| {
            state.phase = Phase::Told(news);
            state.tape = Tape::keeping(expected);
        });
    }

    /// All of the answer is there, and in the news.
    pub(crate) fn tell_whole(&self, news: N) {
        self.change(|state| {
            state.phase = Phase::Told(news);
            state.end = Some(End::Clean(None));
        });
    }

    /// The answer is not for all: everybody who has not been told another goes on alone, at once.
    pub(crate) fn dissolve(&self) {
        self.change(|state| {
            if let Phase::Asked = state.phase {
                state.phase = Phase::Dissolved;
            }
        });
    }

    /// A further piece of the body.
    pub(crate) fn push(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.change(|state| state.tape.push(bytes));
        }
    }

    /// The number of bytes that have come.
    pub(crate) fn received(&self) -> u64 {
        self.lock().tape.end()
    }

    /// Gives up keeping the body; it streams on to those who read it.
    pub(crate) fn stop_keeping(&self) {
        // No news for anybody.
        self.lock().tape.stop_keeping();
    }

    /// The body ends with `last`, which its readers do not see before [`finish`](Self::finish): what they
    /// ask for next must find it in the store. All of it, if it was kept.
    pub(crate) fn seal(&self, last: Bytes) -> Option<Bytes> {
        self.lock().tape.seal(last)
    }

    /// The body has come to its end.
    pub(crate) fn finish(&self, trailers: Option<HeaderMap>) {
        self.change(|state| {
            state.tape.publish();
            state.end = Some(End::Clean(trailers));
        });
    }

    /// The body breaks off here, unless it is at its end.
    pub(crate) fn break_off(&self, error: BodyError) {
        self.change(|state| {
            if state.end.is_none() {
                state.end = Some(End::Broken(error));
            }
        });
    }

    /// Waits until another piece may come, or nobody reads any more.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<Room> {
        let mut state = self.lock();
        if state.tape.has_its_beginning() {
            return Poll::Ready(Room::Free);
        }
        let Some(slowest) = state.slowest() else {
            return Poll::Ready(Room::Deserted);
        };
        state.tape.forget_before(slowest);
        if !state.tape.holds_the_first() {
            state.held = None;
        }
        if state.tape.end() - slowest < WINDOW {
            return Poll::Ready(Room::Free);
        }
        state.task = Some((cx.waker().clone(), Awaits::Room));
        Poll::Pending
    }

    /// Waits until nobody sits here.
    pub(crate) fn poll_deserted(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.is_deserted() {
            return Poll::Ready(());
        }
        state.task = Some((cx.waker().clone(), Awaits::Leaving));
        Poll::Pending
    }

    /// Ends it if nobody sits here, so that nobody takes a seat that leads nowhere. Whether it did.
    pub(crate) fn give_up(&self) -> bool {
        let mut state = self.lock();
        let deserted = state.is_deserted();
        if deserted && state.end.is_none() {
            state.end = Some(End::Broken(BodyError::unfinished()));
            if let Phase::Asked = state.phase {
                state.phase = Phase::Dissolved;
            }
        }
        deserted
    }

    /// Whether somebody has read everything, and so waits for the slowest.
    pub(crate) fn is_held_back(&self) -> bool {
        let state = self.lock();
        let end = state.tape.end();
        state.readers().any(|place| place.at == end)
    }

    /// Cuts off those who have not read the first piece that is kept for them.
    pub(crate) fn cut_off_the_slowest(&self) {
        self.change(|state| {
            if let Some(limit) = state.tape.end_of_first() {
                for place in state.readers_mut().filter(|place| place.at < limit) {
                    place.cut_off = true;
                }
            }
        });
    }

    /// What is kept is paid for by `held`, for as long as somebody may have to read it.
    pub(crate) fn hold(&self, held: Reservation) {
        self.lock().held = Some(held);
    }

    /// Whether the beginning of a body that is not kept is still there, for somebody who has not read it.
    pub(crate) fn holds_the_first(&self) -> bool {
        self.lock().tape.holds_the_first()
    }

    /// Waits until everybody has read everything.
    pub(crate) fn poll_read(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        let end = state.tape.end();
        if state.readers().all(|place| place.at == end) {
            return Poll::Ready(());
        }
        state.task = Some((cx.waker().clone(), Awaits::Room));
        Poll::Pending
    }

    /// Whoever has not read everything gets the rest as long as the store has it, and is cut off then.
    pub(crate) fn leave_to(&self, stored: Weak<Bytes>) {
        // No news for anybody.
        self.lock().tape.leave_to(stored);
    }

    fn leave(&self, at: usize) {
        let task = {
            let mut state = self.lock();
            if let Some(place) = state.seats.get_mut(at) {
                *place = None;
                state.free.push(at);
            }
            state.task_if(|state, awaits| awaits == Awaits::Room || state.is_deserted())
        };
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Makes a change that is news to everybody, and wakes them outside of the lock.
    fn change(&self, change: impl FnOnce(&mut State<N>)) {
        let woken = {
            let mut state = self.lock();
            change(&mut state);
            let mut woken = Wakers::default();
            for place in state.seats.iter_mut().flatten() {
                woken.take(&mut place.waker);
            }
            woken
        };
        woken.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State<N>> {
        lock(&self.state)
    }
}

impl<N> State<N> {
    fn readers(&self) -> impl Iterator<Item = &Place> {
        self.seats.iter().flatten().filter(|place| !place.cut_off)
    }

    fn readers_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        self.seats
            .iter_mut()
            .flatten()
            .filter(|place| !place.cut_off)
    }

    fn slowest(&self) -> Option<u64> {
        self.readers().map(|place| place.at).min()
    }

    /// The task's waker, if this is what it waits for.
    fn task_if(&mut self, is_news: impl FnOnce(&Self, Awaits) -> bool) -> Option<Waker> {
        let (_, awaits) = self.task.as_ref()?;
        if is_news(self, *awaits) {
            self.task.take().map(|(waker, _)| waker)
        } else {
            None
        }
    }

    fn is_deserted(&self) -> bool {
        self.readers().next().is_none()
    }
}

/// Mostly there is one, for whom no list is made.
#[derive(Default)]
struct Wakers {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Wakers {
    fn take(&mut self, waker: &mut Option<Waker>) {
        if self.first.is_none() {
            self.first = waker.take();
        } else {
            self.others.extend(waker.take());
        }
    }

    fn wake(self) {
        self.first
            .into_iter()
            .chain(self.others)
            .for_each(Waker::wake);
    }
}

impl<N> fmt::Debug for Flight<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").finish_non_exhaustive()
    }
}
