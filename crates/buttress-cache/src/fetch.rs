//! What asks the origin, tells everybody who waits, and stores the answer.

mod completing;
mod reply;
mod task;
mod validating;

use std::{sync::Arc, time::SystemTime};

use buttress_core::Digest;
use http::Response;

use self::task::{Next, Opening};
pub(crate) use self::{
    reply::{Asking, Reply},
    task::Task,
};
use crate::{
    CacheBody, Event,
    asked::Asked,
    epochs::Epoch,
    event::NotStored,
    flight::Attendance,
    hit_for_miss::Lesson,
    news::{Lead, News},
    pump::Pump,
    rfc9111::{CacheStatus, Forward, Times},
    shared::Shared,
    store::Entry,
    storing::Storing,
    upstream::Payload,
};

/// A fetch, from the request that was sent to the answer that is stored.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) shared: Arc<Shared>,
    /// The request as the client sent it.
    pub(crate) asked: Asked,
    /// The request as it was sent, where it asks for the rest of something.
    pub(crate) completion: Option<Asked>,
    pub(crate) key: Digest,
    pub(crate) plan: Plan,
    pub(crate) lead: Lead,
    pub(crate) attendance: Attendance<Arc<News>>,
    pub(crate) sent: SystemTime,
    pub(crate) epoch: Epoch,
}

/// What a request is sent on for.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) why: Forward,
    /// What is to be validated, or to be completed.
    pub(crate) stored: Option<Arc<Entry>>,
    /// Whether it is a part, of which the rest is asked for.
    pub(crate) completes: bool,
}

impl Plan {
    /// The request goes as it is.
    pub(crate) const fn plain(why: Forward) -> Self {
        Self {
            why,
            stored: None,
            completes: false,
        }
    }
}

impl Fetch {
    /// The origin has answered.
    fn answered<B: Payload, E: Send + 'static>(
        mut self: Box<Self>,
        response: Response<B>,
        asking: Asking<B, E>,
    ) -> Next<B, E> {
        let times = Times {
            requested: self.sent,
            responded: self.shared.wall.now(),
        };
        if let Some(completion) = self.completion.take() {
            return self.completed(&completion, response, times, asking);
        }
        if let Some(stored) = self.plan.stored.take() {
            return self.validated(&stored, response, times, asking);
        }
        match Storing::of(&self.shared, &self.asked, &response, times) {
            Ok(storing) => self.store(storing, response, asking),
            Err(why) => {
                self.refuse(why, response, asking);
                Next::Finish(None)
            }
        }
    }

    fn store<B: Payload, E>(
        self: Box<Self>,
        storing: Storing,
        mut response: Response<B>,
        asking: Asking<B, E>,
    ) -> Next<B, E> {
        // Those who wait already see for themselves.
        storing.teach(&self.shared, &self.epoch, &self.asked);
        let status = self.status().status(response.status().as_u16());
        self.shared.mark(&status.stored(true), &mut response);
        let (parts, body) = response.into_parts();
        let head = Response::from_parts(parts, ());
        Next::Read {
            pump: Pump::of(self, storing),
            body,
            opening: Opening { head, asking },
        }
    }

    fn refuse<B: Payload, E>(&self, why: NotStored, response: Response<B>, asking: Asking<B, E>) {
        self.shared.tell(&Event::NotStored { why });
        self.learn(Lesson::of(why, response.status()));
        self.pass(response, asking);
    }

    /// Hands the answer on as it is; everybody else goes on alone.
    fn pass<B: Payload, E>(&self, mut response: Response<B>, asking: Asking<B, E>) {
        let status = self.status().status(response.status().as_u16());
        self.shared.mark(&status, &mut response);
        asking.answer(response.map(CacheBody::inner));
    }

    /// Remembers what the answer teaches of the next one.
    pub(crate) fn learn(&self, lesson: Option<Lesson>) {
        if let Some(lesson) = lesson {
            let (shared, head) = (&self.shared, self.asked.head());
            shared.learn_refused(&self.epoch, &head, lesson, shared.wall.now());
        }
    }

    fn status(&self) -> CacheStatus<'static> {
        CacheStatus::forward(self.plan.why)
    }
}
