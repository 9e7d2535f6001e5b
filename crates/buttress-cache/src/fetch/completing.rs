use http::{Response, StatusCode};

use super::{Asking, Fetch, Next};
use crate::{
    CacheBody, Event,
    asked::Asked,
    event::NotStored,
    hit_for_miss::Lesson,
    keeping::{Rest, combined, finish},
    rfc9111::{self, Times},
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
            Ok(storing) if is_the_rest => {
                let body = response.into_body();
                Some(Box::pin(self.collect(storing, body, asking)))
            }
            Ok(storing) => return self.store(storing, response, asking),
            Err(why) if is_the_rest => self.join(why, response, asking),
            // The client has asked for no range.
            Err(_) if response.status() == StatusCode::RANGE_NOT_SATISFIABLE => {
                self.refetch(asking)
            }
            Err(why) => {
                self.refuse(why, response, asking);
                None
            }
        })
    }

    async fn collect<B: Payload, E>(
        mut self: Box<Self>,
        storing: Storing,
        body: B,
        asking: Asking<B, E>,
    ) {
        let rest = match storing.collect(body, &mut self.attendance).await {
            Ok(Some(rest)) => rest,
            Ok(None) => {
                self.not_stored(NotStored::Incomplete);
                return self.bad_gateway("the rest broke off", asking);
            }
            Err(_) => return self.not_stored(NotStored::Deserted),
        };
        let part = self.plan.stored.as_ref();
        let whole = part.and_then(|part| combined(part, &rest.0, &rest.1));
        let Some(entry) = whole else {
            let rest = self.refetch(asking);
            return finish(rest).await;
        };
        let now = self.shared.wall.now();
        let status = self.status().status(StatusCode::PARTIAL_CONTENT.as_u16());
        let answer = self.shared.answer(&self.asked.head(), &entry, now, &status);
        let rest = self
            .shared
            .keep(self.asked, self.key, entry.into(), &self.epoch);
        asking.answer(answer);
        finish(rest).await;
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
        self.bad_gateway("an answer to something else", asking);
        rest
    }

    fn bad_gateway<B: Payload, E>(&self, detail: &str, asking: Asking<B, E>) {
        let mut response = Response::new(CacheBody::empty());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        let status = self.status().detail(detail);
        self.shared.mark(&status, &mut response);
        asking.answer(response);
    }

    fn not_stored(&self, why: NotStored) {
        self.shared.tell(&Event::NotStored { why });
    }
}
