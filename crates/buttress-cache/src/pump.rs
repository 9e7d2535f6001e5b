//! The way of a body to those who read it, and into the store.

use std::{error::Error, future::poll_fn, pin::pin, sync::Arc};

use buttress_core::Digest;
use buttress_http::LocalRefusal;
use bytes::Bytes;
use http::{HeaderMap, Response, header::CONTENT_TYPE};
use http_body::Body;

use crate::{
    BodyError, Event,
    asked::Asked,
    budget::Reservation,
    epochs::Epoch,
    event::NotStored,
    flight::Attendance,
    keeping::{Rest, finish},
    news::{Lead, News},
    rfc9111::{self, Reuse, Store, StoredHead, Times},
    shared::Shared,
    store::Entry,
};

/// A response on its way into the store.
#[derive(Debug)]
pub(crate) struct Storing {
    head: StoredHead,
    /// The bytes that are known to come.
    length: Option<u64>,
    /// The bytes that a body may have.
    most: usize,
    room: Reservation,
}

impl Storing {
    /// Whether, and how, the answer to `asked` may be stored.
    pub(crate) fn of<B: Body>(
        shared: &Shared,
        asked: &Asked,
        response: &Response<B>,
        times: Times,
    ) -> Result<Self, NotStored> {
        if LocalRefusal::of(response).is_some() {
            return Err(NotStored::LocalRefusal);
        }
        let target = asked.target(&shared.settings.scheme);
        let target = target.ok_or(NotStored::NoTarget)?;
        let (status, headers) = (response.status(), response.headers());
        let head = match rfc9111::store(
            &shared.options,
            &asked.head(),
            &target,
            status,
            headers,
            times,
        ) {
            Store::Keep(head) => *head,
            Store::Refuse(why) => return Err(NotStored::Rules(why)),
        };
        if is_event_stream(headers) {
            return Err(NotStored::Stream);
        }
        let length = response.body().size_hint().exact();
        let empty = Entry::weight_of(&head, 0);
        let most = shared.settings.largest.checked_sub(empty);
        let most = most.ok_or(NotStored::TooLarge)?;
        let expected = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
        if expected > most {
            return Err(NotStored::TooLarge);
        }
        let mut room = shared.budget.open();
        if !room.grow_to(expected) {
            return Err(NotStored::NoRoom);
        }
        Ok(Self {
            head,
            length,
            most,
            room,
        })
    }

    pub(crate) const fn head(&self) -> &StoredHead {
        &self.head
    }

    pub(crate) const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether the same request would be answered by it, without asking the origin again.
    pub(crate) fn is_for_all(&self, shared: &Shared, asked: &Asked) -> bool {
        let now = shared.wall.now();
        matches!(
            rfc9111::reuse(&shared.options, &asked.head(), &self.head, now),
            Reuse::Serve(_) | Reuse::ServeAndRevalidate
        )
    }

    /// All of a body, if it comes in full, and there is room for it.
    pub(crate) async fn collect<B>(
        mut self,
        body: B,
        attendance: &mut Attendance<Arc<News>>,
    ) -> Option<(StoredHead, Bytes)>
    where
        B: Body<Data = Bytes>,
    {
        let mut body = pin!(body);
        let mut whole = Vec::with_capacity(self.expected());
        loop {
            let frame = poll_fn(|cx| body.as_mut().poll_frame(cx));
            let Some(frame) = attendance.during(frame).await.ok()? else {
                break;
            };
            if let Ok(data) = frame.ok()?.into_data() {
                self.takes(whole.len().saturating_add(data.len()) as u64)
                    .ok()?;
                whole.extend_from_slice(&data);
            }
        }
        let head = self.head.complete(whole.len() as u64, true).ok()?;
        Some((head, whole.into_boxed_slice().into()))
    }

    fn expected(&self) -> usize {
        usize::try_from(self.length.unwrap_or(0)).unwrap_or(0)
    }

    /// Whether there is room for so many bytes of the body.
    fn takes(&mut self, bytes: u64) -> Result<(), NotStored> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if bytes > self.most {
            return Err(NotStored::TooLarge);
        }
        // In steps, since the allocation grows in steps.
        let stepped = bytes.checked_next_power_of_two().unwrap_or(bytes);
        let stepped = stepped.min(self.most);
        if bytes <= self.expected() || self.room.grow_to(stepped) {
            Ok(())
        } else {
            Err(NotStored::NoRoom)
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .get(..EVENT_STREAM.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(EVENT_STREAM))
    })
}

/// Reads a body on behalf of all who sit in a flight.
#[derive(Debug)]
pub(crate) struct Pump {
    pub(crate) shared: Arc<Shared>,
    pub(crate) asked: Asked,
    pub(crate) key: Digest,
    pub(crate) epoch: Epoch,
    pub(crate) lead: Lead,
    pub(crate) attendance: Attendance<Arc<News>>,
}

/// What came of a body.
enum Came {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Error(BodyError),
}

impl Pump {
    /// Reads `body` to its end, or until nobody wants it. `begun` is called when everybody was told.
    pub(crate) async fn run<B>(
        mut self,
        storing: Storing,
        body: B,
        news: Arc<News>,
        begun: impl FnOnce(),
    ) where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let flight = Arc::clone(self.lead.flight());
        flight.tell(news, storing.expected());
        begun();

        let mut body = pin!(body);
        let mut storing = Some(storing);
        let mut trailers = None;
        loop {
            if storing.is_none() && self.attendance.room().await.is_err() {
                return;
            }
            let came = if body.is_end_stream() {
                Came::End
            } else {
                let frame = poll_fn(|cx| body.as_mut().poll_frame(cx));
                match self.attendance.during(frame).await {
                    Ok(None) => Came::End,
                    Ok(Some(Err(error))) => Came::Error(BodyError::inner(error)),
                    Ok(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => Came::Data(data),
                        Err(frame) => match frame.into_trailers() {
                            Ok(trailers) => Came::Trailers(trailers),
                            Err(_) => continue,
                        },
                    },
                    Err(_) => {
                        if storing.is_some() {
                            self.not_stored(NotStored::Deserted);
                        }
                        return;
                    }
                }
            };
            match came {
                Came::Data(data) => {
                    let received = flight.received() + data.len() as u64;
                    if let Some(Err(why)) = storing.as_mut().map(|storing| storing.takes(received))
                    {
                        storing = None;
                        self.stop_storing(why);
                    }
                    if body.is_end_stream() {
                        let rest = self.end(storing, data, trailers);
                        return finish(rest).await;
                    }
                    flight.push(data);
                }
                Came::Trailers(fields) => trailers = Some(fields),
                Came::End => {
                    let rest = self.end(storing, Bytes::new(), trailers);
                    return finish(rest).await;
                }
                Came::Error(error) => {
                    let rest = self.break_off(storing, error);
                    return finish(rest).await;
                }
            }
        }
    }

    /// It streams on to those who read it, and to nobody else.
    fn stop_storing(&mut self, why: NotStored) {
        self.not_stored(why);
        self.lead.close();
        self.lead.flight().stop_keeping();
        self.attendance.end_with_the_last();
    }

    /// The body has ended with `last`. It is stored first, so that whoever has read it and asks again
    /// finds it.
    fn end(mut self, storing: Option<Storing>, last: Bytes, trailers: Option<HeaderMap>) -> Rest {
        let flight = Arc::clone(self.lead.flight());
        let received = flight.received() + last.len() as u64;
        let whole = flight.seal(last);
        let rest = storing
            .zip(whole)
            .and_then(|(storing, whole)| self.keep(storing, received, true, whole));
        flight.finish(trailers);
        rest
    }

    fn break_off(mut self, storing: Option<Storing>, error: BodyError) -> Rest {
        let flight = Arc::clone(self.lead.flight());
        let received = flight.received();
        let whole = flight.seal(Bytes::new());
        let rest = storing
            .zip(whole)
            .and_then(|(storing, whole)| self.keep(storing, received, false, whole));
        flight.break_off(error);
        rest
    }

    fn keep(&mut self, storing: Storing, received: u64, clean: bool, whole: Bytes) -> Rest {
        match storing.head.complete(received, clean) {
            Ok(head) => {
                let asked = std::mem::take(&mut self.asked);
                self.shared.keep(asked, self.key, head, whole, &self.epoch)
            }
            Err(_) => {
                self.not_stored(NotStored::Incomplete);
                None
            }
        }
    }

    fn not_stored(&self, why: NotStored) {
        self.shared.tell(&Event::NotStored { why });
    }
}
