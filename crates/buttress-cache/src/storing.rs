use buttress_http::LocalRefusal;
use http::{HeaderMap, Method, Response, header::CONTENT_TYPE};
use http_body::Body;

use crate::{
    asked::Asked,
    budget::Reservation,
    epochs::Epoch,
    event::NotStored,
    rfc9111::{self, Refusal, StoredHead, Times},
    shared::Shared,
    store::Entry,
};

/// A response on its way into the store.
#[derive(Debug)]
pub(crate) struct Storing {
    pub(crate) head: Box<StoredHead>,
    /// The bytes that are known to come.
    pub(crate) length: Option<u64>,
    /// The bytes that are expected: a part says how long it is, even if its body does not.
    expected: usize,
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
        if let Some(why) = refused_at_sight(&asked.method, response) {
            return Err(why);
        }
        let (status, headers) = (response.status(), response.headers());
        let head = rfc9111::to_keep(
            &shared.options,
            &asked.head(),
            || asked.target(&shared.settings.scheme),
            status,
            headers,
            times,
        )
        .map_err(NotStored::Rules)?;
        if is_event_stream(headers) {
            return Err(NotStored::Stream);
        }
        let length = response.body().size_hint().exact();
        let most = most(shared, &head)?;
        let expected = length.or_else(|| head.part().map(|part| part.len()));
        let expected = usize::try_from(expected.unwrap_or(0)).unwrap_or(usize::MAX);
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
            expected,
            most,
            room,
        })
    }

    /// Has what others who ask for the same can hope for remembered. Where nobody says how long the body is, that is known
    /// when it is stored.
    pub(crate) fn teach(&self, shared: &Shared, epoch: &Epoch, asked: &Asked) {
        if self.length.is_some() {
            shared.learn_stored(epoch, &asked.head(), &self.head, shared.wall.now());
        }
    }

    /// This is stored instead, of which `length` bytes come, if there is room for that.
    pub(crate) fn instead(
        mut self,
        shared: &Shared,
        head: StoredHead,
        length: u64,
    ) -> Result<Self, NotStored> {
        let most = most(shared, &head)?;
        let expected = usize::try_from(length).unwrap_or(usize::MAX);
        if expected > most {
            return Err(NotStored::TooLarge);
        }
        if !self.room.grow_to(expected) {
            return Err(NotStored::NoRoom);
        }
        Ok(Self {
            head: Box::new(head),
            length: Some(length),
            expected,
            most,
            room: self.room,
        })
    }

    pub(crate) fn into_room(self) -> Reservation {
        self.room
    }

    pub(crate) fn into_parts(self) -> (Box<StoredHead>, Reservation) {
        (self.head, self.room)
    }

    pub(crate) const fn expected(&self) -> usize {
        self.expected
    }

    /// Whether there is room for so many bytes of the body.
    pub(crate) fn takes(&mut self, bytes: u64) -> Result<(), NotStored> {
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

/// How many bytes may come after this head.
fn most(shared: &Shared, head: &StoredHead) -> Result<usize, NotStored> {
    let empty = Entry::weight_of(head, 0);
    let most = shared.settings.largest.checked_sub(empty);
    most.ok_or(NotStored::TooLarge)
}

/// Why an answer is not stored, as far as no more is needed to tell than who made it and the request's method.
pub(crate) fn refused_at_sight<B>(method: &Method, response: &Response<B>) -> Option<NotStored> {
    if LocalRefusal::of(response).is_some() {
        Some(NotStored::LocalRefusal)
    } else if rfc9111::forbids_by_method(method, response.headers()) {
        Some(NotStored::Rules(Refusal::Method))
    } else {
        None
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
