use std::{future::poll_fn, pin::pin};

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{Asking, Fetch, Next, Reply};
use crate::{
    CacheBody, Event,
    asked::Asked,
    event::NotStored,
    hit_for_miss::Lesson,
    keeping::{Rest, finish},
    pump::Pump,
    rfc9111::{self, Answer, Piece, StoredHead, Times},
    store::Entry,
    storing::Storing,
    upstream::Payload,
};

impl Fetch {
    /// The rest of a stored part, or whatever came instead.
    pub(super) fn completed<B: Payload, E: Send + 'static>(
        self: Box<Self>,
        completion: &Asked,
        response: Response<B>,
        times: Times,
        asking: Asking<B, E>,
    ) -> Next<B, E> {
        let storing = Storing::of(&self.shared, completion, &response, times);
        let is_the_rest = response.status() == StatusCode::PARTIAL_CONTENT;
        Next::Finish(match storing {
            Ok(storing) if is_the_rest => return self.complete(storing, response, asking),
            Ok(storing) => return self.store(storing, response, asking),
            Err(why) if is_the_rest => self.join(why, response, asking),
            // The client has asked for no range.
            Err(_) if response.status() == StatusCode::RANGE_NOT_SATISFIABLE => {
                self.refetch(asking)
            }
            Err(why) => {
                let part = self.plan.stored.as_ref();
                let rest = part
                    .filter(|_| !rfc9111::is_of_the_moment(response.status()))
                    .and_then(|part| self.outdated_by(why, part));
                self.refuse(why, response, asking);
                rest
            }
        })
    }

    /// What is stored and the rest of it are the whole, which everybody reads, and which is stored, as the rest comes.
    fn complete<B: Payload, E>(
        mut self: Box<Self>,
        storing: Storing,
        response: Response<B>,
        asking: Asking<B, E>,
    ) -> Next<B, E> {
        let part = self.plan.stored.as_ref();
        let Some(whole) = part.and_then(|part| Whole::of(part, &storing)) else {
            return Next::Finish(self.refetch(asking));
        };
        let length = whole.length();
        let storing = match storing.instead(&self.shared, whole.head, length) {
            Ok(storing) => storing,
            Err(why) => return Next::Finish(self.join(why, response, asking)),
        };
        storing.teach(&self.shared, &self.epoch, &self.asked);
        // Whatever becomes of the rest, the part is none the worse for it.
        self.plan.stored = None;
        let (now, asked) = (self.shared.wall.now(), self.asked.head());
        let answer = rfc9111::answer(&asked, &storing.head, length, now);
        let (code, headers) = rfc9111::answer_head(&answer, &storing.head, now);
        let mut head = Response::new(());
        *head.status_mut() = code;
        *head.headers_mut() = headers;
        let status = self.status().status(StatusCode::PARTIAL_CONTENT.as_u16());
        self.shared.mark(&status.stored(true), &mut head);

        let body = CacheBody::joined(whole.before, response.into_body(), whole.rest, whole.after);
        let mut pump = Pump::of(self, storing);
        let length = pump.begin();
        match answer {
            Answer::Stored => asking.reply(Reply::Reading(head, length)),
            // For this the head is enough.
            _ => asking.answer(head.map(|()| CacheBody::empty())),
        }
        Next::Finish(Some(Box::pin(async move {
            let mut body = pin!(body);
            let rest = poll_fn(|cx| pump.poll(body.as_mut(), cx)).await;
            finish(rest).await;
        })))
    }

    /// The rest may not be stored, or there is no room for it: it is the client's all the same, after what is
    /// stored or before it, as it comes.
    fn join<B: Payload, E>(
        &self,
        why: NotStored,
        response: Response<B>,
        asking: Asking<B, E>,
    ) -> Rest {
        let joined = self.plan.stored.as_ref().and_then(|part| {
            let length = part.body().len() as u64;
            let joined = rfc9111::join(part.head(), length, response.headers())?;
            Some((part, joined))
        });
        let Some((part, joined)) = joined else {
            return self.refetch(asking);
        };
        self.not_stored(why);
        let (before, after) = match joined.stored_first {
            true => (part.body().clone(), Default::default()),
            false => (Default::default(), part.body().clone()),
        };
        let body = CacheBody::joined(before, response.into_body(), joined.rest, after);
        let mut answer = Response::new(body);
        *answer.headers_mut() = joined.headers;
        let status = self.status().status(StatusCode::PARTIAL_CONTENT.as_u16());
        self.shared.mark(&status, &mut answer);
        asking.answer(answer);
        // What is said of the rest holds for all of it.
        match why {
            NotStored::Rules(why) if why.outdates() => {
                self.learn(Some(Lesson::NotForAll));
                self.shared.update(self.key, part, None, &self.epoch)
            }
            _ => None,
        }
    }

    /// An answer to what was not asked, when a part was to be completed: what is stored is worth nothing, and
    /// there is nothing to give.
    fn refetch<B: Payload, E>(&self, asking: Asking<B, E>) -> Rest {
        let rest = self.shared.invalidate(self.key);
        let mut response = Response::new(CacheBody::empty());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        let status = self.status().detail("an answer to something else");
        self.shared.mark(&status, &mut response);
        asking.answer(response);
        rest
    }

    fn not_stored(&self, why: NotStored) {
        self.shared.tell(&Event::NotStored { why });
    }
}

/// All of what a part is stored of.
struct Whole {
    head: StoredHead,
    before: Bytes,
    /// How many bytes are to come after these, and before those that are last.
    rest: u64,
    after: Bytes,
}

impl Whole {
    /// `None` where the part and what comes are not all of one representation.
    fn of(part: &Entry, rest: &Storing) -> Option<Self> {
        let stored = part.body();
        let comes = usize::try_from(rest.head.part()?.len()).ok()?;
        if rest.length.is_some_and(|length| length != comes as u64) {
            return None;
        }
        let all = rfc9111::combine(part.head(), stored.len(), &rest.head, comes)?;
        if all.head.part().is_some() {
            return None;
        }
        let (mut before, mut after) = (Bytes::new(), Bytes::new());
        let mut next = &mut before;
        for piece in all.pieces {
            match piece {
                Piece::Old(range) => *next = stored.slice_ref(stored.get(range)?),
                Piece::New(_) => next = &mut after,
            }
        }
        Some(Self {
            head: all.head,
            before,
            rest: comes as u64,
            after,
        })
    }

    fn length(&self) -> u64 {
        self.before.len() as u64 + self.rest + self.after.len() as u64
    }
}
