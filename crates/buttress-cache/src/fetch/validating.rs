use std::{sync::Arc, time::SystemTime};

use buttress_http::LocalRefusal;
use http::{Response, StatusCode};
use http_body::Body;

use super::{Asking, Fetch, Next, Reply};
use crate::{
    Event,
    event::NotStored,
    hit_for_miss::Lesson,
    keeping::Rest,
    news::News,
    rfc9111::{self, StoredHead, Times, Unreachable, Upkeep, Validated},
    store::Entry,
    storing::Storing,
    upstream::Payload,
};

impl Fetch {
    /// What the origin says of something that is stored.
    pub(super) fn validated<B: Payload, E>(
        mut self: Box<Self>,
        stored: &Arc<Entry>,
        response: Response<B>,
        times: Times,
        asking: Asking<B, E>,
    ) -> Next<B, E> {
        let validated = rfc9111::validated(
            &self.shared.options,
            &self.asked.head(),
            stored.head(),
            response.status(),
            response.headers(),
            times,
        );
        let now = times.responded;
        // Who refuses on this side has asked nobody, and tells nothing of what there is a doubt about.
        if LocalRefusal::of(&response).is_some()
            && self.shared.would_serve(&self.asked.head(), stored, now)
        {
            self.stale(stored, None, now, asking);
            return Next::Finish(None);
        }
        Next::Finish(match validated {
            Validated::Freshened { head, upkeep } => {
                self.freshened(stored, *head, upkeep, now, asking)
            }
            Validated::Stale => {
                self.stale(stored, Some(response.status()), now, asking);
                None
            }
            Validated::Forward => {
                if response.status().is_server_error() && LocalRefusal::of(&response).is_none() {
                    self.learn(Some(Lesson::NotForAll));
                }
                self.pass(response, asking);
                None
            }
            Validated::Refetch => self.unrelated(stored, now, asking),
            Validated::Replace => {
                let refused = match Storing::of(&self.shared, &self.asked, &response, times) {
                    Ok(storing) => {
                        self.plan.stored = Some(Arc::clone(stored));
                        return self.store(storing, response, asking);
                    }
                    Err(why) => why,
                };
                let rest = self.outdated_by(refused, stored);
                self.refuse(refused, response, asking);
                rest
            }
        })
    }

    /// What an answer that is not stored would have replaced must not be served any more.
    pub(super) fn outdated_by(&self, refused: NotStored, stored: &Arc<Entry>) -> Rest {
        match refused {
            // The origin was not asked.
            NotStored::LocalRefusal => None,
            NotStored::Rules(why) if !why.outdates() => None,
            _ => self.shared.update(self.key, stored, None, &self.epoch),
        }
    }

    /// The origin gave no answer.
    pub(super) fn unreachable<B: Body, E>(&self, error: E, asking: Asking<B, E>) {
        // A part stands in for nothing that it does not hold.
        let stored = self.plan.stored.as_ref().filter(|_| !self.plan.completes);
        let Some(stored) = stored else {
            return asking.reply(Reply::Failed(error));
        };
        let shared = &self.shared;
        let (now, head) = (shared.wall.now(), self.asked.head());
        match rfc9111::unreachable(&shared.options, &head, stored.head(), now) {
            Unreachable::Stale => self.stale(stored, None, now, asking),
            _ => asking.answer(shared.gateway_timeout(&self.status())),
        }
    }

    /// The origin failed: something stale is better than nothing, for all who may have it.
    fn stale<B: Body, E>(
        &self,
        stored: &Arc<Entry>,
        failure: Option<StatusCode>,
        now: SystemTime,
        asking: Asking<B, E>,
    ) {
        let shared = &self.shared;
        let mut status = self.status();
        if let Some(failure) = failure {
            status = status.status(failure.as_u16());
        }
        if asking.is_somebody() {
            shared.tell(&Event::StaleOnFailure { status: failure });
        }
        asking.answer(shared.answer(&self.asked.head(), stored, now, &status));
        self.lead.flight().tell_whole(Arc::new(News::Failed {
            stored: Arc::clone(stored),
            status: failure,
        }));
    }

    fn freshened<B: Body, E>(
        &self,
        stored: &Arc<Entry>,
        head: StoredHead,
        upkeep: Upkeep,
        now: SystemTime,
        asking: Asking<B, E>,
    ) -> Rest {
        let shared = &self.shared;
        shared.tell(&Event::Validated);
        let entry = Arc::new(stored.with_head(head));
        let rest = shared.keep_up(self.key, stored, &entry, upkeep, &self.epoch);
        let status = self.status().status(StatusCode::NOT_MODIFIED.as_u16());
        asking.answer(shared.answer(&self.asked.head(), &entry, now, &status));
        if upkeep == Upkeep::Update {
            // Those who wait already see for themselves.
            shared.learn_stored(&self.epoch, &self.asked.head(), entry.head(), now);
            let flight = self.lead.flight();
            flight.tell_whole(Arc::new(News::Stored(entry)));
        }
        rest
    }

    /// A 304 that is about something else than what is stored. To ask again, the request would have to be
    /// had again. The origin said of our validator that nothing has changed, so what is stored answers this
    /// once; it is not freshened, but forgotten, and the next request gets the whole.
    fn unrelated<B: Body, E>(
        &self,
        stored: &Arc<Entry>,
        now: SystemTime,
        asking: Asking<B, E>,
    ) -> Rest {
        let rest = self.shared.update(self.key, stored, None, &self.epoch);
        let status = self.status().status(StatusCode::NOT_MODIFIED.as_u16());
        asking.answer(self.shared.answer(&self.asked.head(), stored, now, &status));
        rest
    }
}
