//! The way of a body to those who read it, and into the store.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::{
    BodyError, Event, budget::Reservation, event::NotStored, fetch::Fetch, hit_for_miss::Lesson,
    keeping::Rest, news::News, rfc9111::StoredHead, store::Entry, storing::Storing,
    upstream::Payload,
};

/// Reads a body on behalf of all who sit in a flight.
#[derive(Debug)]
pub(crate) struct Pump {
    fetch: Box<Fetch>,
    /// Until it is clear that it will not be stored.
    storing: Option<Storing>,
    length: Option<u64>,
    /// When its head was there, of what [teaches](Storing::teach) only once it is stored.
    teaches: Option<SystemTime>,
    /// What came of the body before anybody was told of it.
    ahead: Option<Came>,
    trailers: Option<HeaderMap>,
}

/// What came of a body.
#[derive(Debug)]
enum Came {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Error(BodyError),
}

/// What a body leaves behind that has come to its end.
enum Left {
    /// It is held for those who have not read it.
    Held(Reservation),
    /// There is no room for that: what the store has is, and all of it for a while.
    Stored {
        body: Weak<Bytes>,
        room: Reservation,
    },
}

impl Pump {
    pub(crate) fn of(fetch: Box<Fetch>, storing: Storing) -> Self {
        let teaches = storing.length.is_none() && fetch.asked.method == Method::GET;
        Self {
            teaches: teaches.then(|| fetch.shared.wall.now()),
            fetch,
            length: storing.length,
            storing: Some(storing),
            ahead: None,
            trailers: None,
        }
    }

    /// All of a body that is there already, as most small ones are: it is stored, and everybody is told of
    /// all of it, without a way for pieces of it to come by. What is left to do for the store comes with it.
    pub(crate) fn at_once<B: Payload>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Option<(Bytes, Rest)> {
        let whole = match self.poll_came(body.as_mut(), cx) {
            Poll::Ready(Came::Data(data)) if body.is_end_stream() => data,
            Poll::Ready(Came::End) => Bytes::new(),
            Poll::Ready(came) => {
                self.ahead = Some(came);
                return None;
            }
            Poll::Pending => return None,
        };
        let length = whole.len() as u64;
        if self
            .storing
            .as_mut()
            .is_some_and(|storing| storing.takes(length).is_err())
        {
            self.ahead = Some(Came::Data(whole));
            return None;
        }
        let storing = self.storing.take()?;
        let rest = match self.entry(*storing.head, true, Bytes::copy_from_slice(&whole)) {
            Some(entry) => {
                let entry = Arc::new(entry);
                let rest = self.keep(Arc::clone(&entry));
                let flight = self.fetch.lead.flight();
                flight.tell_whole(Arc::new(News::Stored(entry)));
                rest
            }
            // Whoever waits goes on alone.
            None => None,
        };
        Some((whole, rest))
    }

    /// Tells everybody who waits that a body comes, of which so many bytes are known to come.
    pub(crate) fn begin(&self) -> Option<u64> {
        if let Some(storing) = &self.storing {
            let news = News::Coming {
                head: storing.head.clone(),
                length: self.length,
            };
            let flight = self.fetch.lead.flight();
            flight.tell(Arc::new(news), storing.expected());
        }
        self.length
    }

    /// Reads `body` to its end, or until nobody wants it. Then this is what is left to do for the store.
    pub(crate) fn poll<B: Payload>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Rest> {
        loop {
            if self.storing.is_none() {
                let Fetch {
                    attendance, shared, ..
                } = &mut *self.fetch;
                if ready!(attendance.poll_room(cx, &shared.clock)).is_err() {
                    return Poll::Ready(None);
                }
            }
            let Poll::Ready(came) = self.poll_came(body.as_mut(), cx) else {
                ready!(self.fetch.attendance.poll_deserted(cx));
                if self.storing.is_some() {
                    self.not_stored(NotStored::Deserted);
                }
                return Poll::Ready(None);
            };
            match came {
                Came::Data(data) => {
                    let flight = self.fetch.lead.flight();
                    let received = flight.received() + data.len() as u64;
                    if let Some(storing) = &mut self.storing
                        && let Err(why) = storing.takes(received)
                    {
                        self.stop_storing(why);
                    }
                    if body.is_end_stream() {
                        return Poll::Ready(self.end(data));
                    }
                    self.fetch.lead.flight().push(data);
                }
                Came::Trailers(fields) => self.trailers = Some(fields),
                Came::End => return Poll::Ready(self.end(Bytes::new())),
                Came::Error(error) => return Poll::Ready(self.break_off(error)),
            }
        }
    }

    fn poll_came<B: Payload>(&mut self, mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<Came> {
        if let Some(came) = self.ahead.take() {
            return Poll::Ready(came);
        }
        loop {
            if body.is_end_stream() {
                return Poll::Ready(Came::End);
            }
            return Poll::Ready(match ready!(body.as_mut().poll_frame(cx)) {
                None => Came::End,
                Some(Err(error)) => Came::Error(BodyError::inner(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Came::Data(data),
                    Err(frame) => match frame.into_trailers() {
                        Ok(trailers) => Came::Trailers(trailers),
                        Err(_) => continue,
                    },
                },
            });
        }
    }

    /// It streams on to those who read it, and to nobody else.
    fn stop_storing(&mut self, why: NotStored) {
        self.not_stored(why);
        let fetch = &mut *self.fetch;
        // The next one may find room, but will not be shorter.
        if why == NotStored::TooLarge
            && let Some(storing) = &self.storing
        {
            fetch.learn(Lesson::of(why, storing.head.status()));
        }
        // What it was to replace is outdated all the same.
        if let Some(outdated) = fetch.plan.stored.take() {
            let rest = fetch
                .shared
                .update(fetch.key, &outdated, None, &fetch.epoch);
            fetch.shared.later(rest);
        }
        self.fetch.lead.close();
        let flight = self.fetch.lead.flight();
        flight.stop_keeping();
        self.fetch.attendance.end_with_the_last();
        let mut held = self.fetch.shared.readers.open();
        if held.takes(flight.received()) {
            flight.hold(held);
            self.storing = None;
        } else if let Some(storing) = self.storing.take() {
            let patience = self.fetch.shared.settings.patience;
            self.fetch.attendance.press(storing.into_room(), patience);
        }
    }

    /// The body has ended with `last`. It is stored first, so that whoever has read it and asks again
    /// finds it.
    fn end(&mut self, last: Bytes) -> Rest {
        let (rest, left) = self.seal(last, true);
        self.fetch.lead.flight().finish(self.trailers.take());
        self.leave(left);
        rest
    }

    fn break_off(&mut self, error: BodyError) -> Rest {
        let (rest, left) = self.seal(Bytes::new(), false);
        self.fetch.lead.flight().break_off(error);
        self.leave(left);
        rest
    }

    fn seal(&mut self, last: Bytes, clean: bool) -> (Rest, Option<Left>) {
        let whole = self.fetch.lead.flight().seal(last);
        let Some((storing, whole)) = self.storing.take().zip(whole) else {
            return (None, None);
        };
        let mut held = self.fetch.shared.readers.open();
        let is_held = held.takes(whole.len() as u64);
        let (head, room) = storing.into_parts();
        let (entry, body) = match self.entry(*head, clean, whole) {
            Some(entry) if is_held => (Some(entry), Weak::new()),
            Some(entry) => {
                let (entry, body) = entry.traced();
                (Some(entry), body)
            }
            None => (None, Weak::new()),
        };
        let rest = entry.and_then(|entry| self.keep(entry.into()));
        let left = match is_held {
            true => Left::Held(held),
            false => Left::Stored { body, room },
        };
        (rest, Some(left))
    }

    /// Sees to those who have not read everything: it is held for them if there is room for that. Else they
    /// have a bounded time, and then what the store still has.
    fn leave(&mut self, left: Option<Left>) {
        let Fetch {
            shared,
            lead,
            attendance,
            ..
        } = &mut *self.fetch;
        let flight = Arc::clone(lead.flight());
        let mut stored = Weak::new();
        match left {
            Some(Left::Held(held)) => return flight.hold(held),
            Some(Left::Stored { body, room }) => {
                attendance.press(room, shared.settings.patience);
                stored = body;
            }
            None => {}
        }
        if let Some(mut pressure) = attendance.take_pressure() {
            shared.executor.execute(Box::pin(async move {
                poll_fn(|cx| match flight.poll_read(cx) {
                    Poll::Ready(()) => Poll::Ready(()),
                    Poll::Pending => pressure.poll_over(cx),
                })
                .await;
                flight.leave_to(stored);
            }));
        }
    }

    /// What came, if it is what was announced.
    fn entry(&self, head: StoredHead, clean: bool, whole: Bytes) -> Option<Entry> {
        match head.complete(whole.len() as u64, clean) {
            Ok(head) => Some(Entry::new(head, whole)),
            Err(_) => {
                self.not_stored(NotStored::Incomplete);
                None
            }
        }
    }

    fn keep(&mut self, entry: Arc<Entry>) -> Rest {
        let fetch = &mut *self.fetch;
        // What was fresh when its head came was for all who waited for that, however slowly the rest came.
        if let Some(then) = self.teaches {
            let head = fetch.asked.head();
            fetch
                .shared
                .learn_stored(&fetch.epoch, &head, entry.head(), then);
        }
        let asked = std::mem::take(&mut fetch.asked);
        fetch.shared.keep(asked, fetch.key, entry, &fetch.epoch)
    }

    fn not_stored(&self, why: NotStored) {
        self.fetch.shared.tell(&Event::NotStored { why });
    }
}
