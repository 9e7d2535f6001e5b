use http::{Response, StatusCode};

use super::{Asking, Fetch, Next};
use crate::{
    CacheBody,
    asked::Asked,
    keeping::{Rest, combined, finish},
    rfc9111::Times,
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
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return match storing {
                Ok(storing) => self.store(storing, response, asking),
                Err(why) => {
                    self.refuse(why, response, asking);
                    Next::Finish(None)
                }
            };
        }
        Next::Finish(match storing {
            Ok(storing) => {
                let body = response.into_body();
                Some(Box::pin(self.collect(storing, body, asking)))
            }
            Err(_) => self.refetch(asking),
        })
    }

    async fn collect<B: Payload, E>(
        mut self: Box<Self>,
        storing: Storing,
        body: B,
        asking: Asking<B, E>,
    ) {
        let rest = storing.collect(body, &mut self.attendance).await;
        let whole = rest
            .zip(self.plan.stored.as_ref())
            .and_then(|((head, body), part)| combined(part, &head, &body));
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
}
