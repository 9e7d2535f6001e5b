//! The task that works on a fetch: it asks the origin, tells everybody who waits, and stores the answer.

use std::{
    any::Any,
    error::Error,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    time::SystemTime,
};

use buttress_core::Digest;
use buttress_http::LocalRefusal;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use tokio::sync::oneshot;

use crate::{
    CacheBody, Event,
    asked::Asked,
    epochs::Epoch,
    event::NotStored,
    flight::{Attendance, Deserted},
    keeping::{Rest, combined, finish},
    news::{Lead, News},
    pump::{Pump, Storing},
    rfc9111::{self, CacheStatus, Forward, StoredHead, Times, Unreachable, Upkeep, Validated},
    shared::Shared,
    store::Entry,
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

/// What the request that caused a fetch is told.
pub(crate) enum Reply<B, E>
where
    B: Body,
{
    /// This is the answer.
    Answered(Response<CacheBody<B>>),
    /// This is its head; the body is read from the seat, `length` bytes are known to come.
    Reading(Response<()>, Option<u64>),
    /// There is none.
    Failed(E),
    /// The inner service panicked, and so shall whoever asked it.
    Panicked(Box<dyn Any + Send>),
}

type Asking<B, E> = Option<oneshot::Sender<Reply<B, E>>>;

/// A refusal (ours, or a 429 and its kin) tells of whoever was refused, and nothing of the target.
const fn is_about_who_asked(why: NotStored) -> bool {
    matches!(
        why,
        NotStored::LocalRefusal | NotStored::Rules(rfc9111::Refusal::NeverStored)
    )
}

/// Whoever asked may have left: then nobody is told.
fn reply<B: Body, E>(asking: Asking<B, E>, reply: Reply<B, E>) {
    if let Some(asking) = asking {
        let _ = asking.send(reply);
    }
}

impl Fetch {
    /// Works on it until it is stored, or nobody wants it. Without an `asking` it is done in the
    /// background.
    pub(crate) async fn run<F, B, E>(self, answer: F, asking: Asking<B, E>)
    where
        F: Future<Output = Result<Response<B>, E>>,
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let grace = match asking {
            Some(_) => self.shared.settings.on_disconnect.grace(),
            None => Some(self.shared.settings.background),
        };
        let mut attendance = self.attendance(grace);
        let mut answer = pin!(answer);
        let caught =
            poll_fn(
                |cx| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
                    Ok(poll) => poll.map(Ok),
                    Err(panic) => std::task::Poll::Ready(Err(panic)),
                },
            );
        match attendance.during(caught).await {
            Err(Deserted) => {
                let why = NotStored::Deserted;
                self.shared.tell(&Event::NotStored { why });
            }
            Ok(Err(panic)) => reply(asking, Reply::Panicked(panic)),
            Ok(Ok(Err(error))) => self.unreachable(error, asking),
            Ok(Ok(Ok(response))) => self.answered(response, attendance, asking).await,
        }
    }

    fn attendance(&self, grace: Option<std::time::Duration>) -> Attendance<Arc<News>> {
        let (flight, timer) = (
            Arc::clone(self.lead.flight()),
            Arc::clone(&self.shared.timer),
        );
        Attendance::of(flight, timer, grace, self.shared.settings.patience)
    }

    fn unreachable<B: Body, E>(self, error: E, asking: Asking<B, E>) {
        let Some(stored) = &self.plan.stored else {
            return reply(asking, Reply::Failed(error));
        };
        let shared = &self.shared;
        let (now, head) = (shared.wall.now(), self.asked.head());
        match rfc9111::unreachable(&shared.options, &head, stored.head(), now) {
            Unreachable::Stale => self.stale(stored, None, now, asking),
            _ => {
                let response = shared.gateway_timeout(&self.status());
                reply(asking, Reply::Answered(response));
            }
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
        if asking.is_some() {
            shared.tell(&Event::StaleOnFailure { status: failure });
        }
        let response = shared.answer(&self.asked.head(), stored, now, &status);
        reply(asking, Reply::Answered(response));
        let news = News::Failed {
            stored: Arc::clone(stored),
            status: failure,
        };
        let flight = self.lead.flight();
        flight.tell_whole(Arc::new(news), stored.body().clone());
    }

    async fn answered<B, E>(
        mut self,
        response: Response<B>,
        attendance: Attendance<Arc<News>>,
        asking: Asking<B, E>,
    ) where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let now = self.shared.wall.now();
        let times = Times {
            requested: self.sent,
            responded: now,
        };
        if let Some(completion) = self.completion.take() {
            return self
                .completed(completion, response, times, attendance, asking)
                .await;
        }
        if let Some(stored) = self.plan.stored.take() {
            let validated = rfc9111::validated(
                &self.shared.options,
                &self.asked.head(),
                stored.head(),
                response.status(),
                response.headers(),
                times,
            );
            match validated {
                Validated::Freshened { head, upkeep } => {
                    let rest = self.freshened(&stored, *head, upkeep, now, asking);
                    return finish(rest).await;
                }
                Validated::Stale => {
                    return self.stale(&stored, Some(response.status()), now, asking);
                }
                Validated::Forward => {
                    if response.status().is_server_error() && LocalRefusal::of(&response).is_none()
                    {
                        self.learn(false);
                    }
                    return self.pass(response, asking);
                }
                Validated::Refetch => {
                    let rest = self.unrelated(&stored, now, asking);
                    return finish(rest).await;
                }
                Validated::Replace => {
                    let refused = match Storing::of(&self.shared, &self.asked, &response, times) {
                        Ok(storing) => {
                            return self.store(storing, response, attendance, asking).await;
                        }
                        Err(why) => why,
                    };
                    // What it replaces must not be served any more.
                    let rest = match refused {
                        // The origin was not asked.
                        NotStored::LocalRefusal => None,
                        NotStored::Rules(why) if !why.outdates() => None,
                        _ => self.shared.update(self.key, &stored, None, &self.epoch),
                    };
                    self.refuse(refused, response, asking);
                    return finish(rest).await;
                }
            }
        }
        match Storing::of(&self.shared, &self.asked, &response, times) {
            Ok(storing) => self.store(storing, response, attendance, asking).await,
            Err(why) => self.refuse(why, response, asking),
        }
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
        let entry = Arc::new(Entry::new(head, stored.body().clone()));
        let rest = shared.keep_up(self.key, stored, &entry, upkeep, &self.epoch);
        let status = self.status().status(StatusCode::NOT_MODIFIED.as_u16());
        let response = shared.answer(&self.asked.head(), &entry, now, &status);
        reply(asking, Reply::Answered(response));
        let body = entry.body().clone();
        if upkeep == Upkeep::Update {
            let flight = self.lead.flight();
            flight.tell_whole(Arc::new(News::Valid(entry)), body);
        }
        rest
    }

    /// An answer to what was not asked, when a part was to be completed: what is stored is worth nothing, and
    /// there is nothing to give.
    fn refetch<B: Body, E>(&self, asking: Asking<B, E>) -> Rest {
        let rest = self.shared.invalidate(self.key);
        let mut response = Response::new(CacheBody::empty());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        let status = self.status().detail("an answer to something else");
        self.shared.mark(&status, &mut response);
        reply(asking, Reply::Answered(response));
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
        let response = self.shared.answer(&self.asked.head(), stored, now, &status);
        reply(asking, Reply::Answered(response));
        rest
    }

    fn refuse<B, E>(self, why: NotStored, response: Response<B>, asking: Asking<B, E>)
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.shared.tell(&Event::NotStored { why });
        if !is_about_who_asked(why) {
            self.learn(false);
        }
        self.pass(response, asking);
    }

    /// Remembers whether the answer is for all who ask, unless it was to demands of one request's own.
    fn learn(&self, for_all: bool) {
        let head = self.asked.head();
        if for_all || head.is_plain() {
            let flight_key = self.shared.flight_key(self.key, &head);
            self.shared.flights.learn(flight_key, for_all);
        }
    }

    /// Hands the answer on as it is; everybody else goes on alone.
    fn pass<B, E>(self, mut response: Response<B>, asking: Asking<B, E>)
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let status = self.status().status(response.status().as_u16());
        self.shared.mark(&status, &mut response);
        reply(asking, Reply::Answered(response.map(CacheBody::inner)));
    }

    async fn store<B, E>(
        mut self,
        storing: Storing,
        mut response: Response<B>,
        attendance: Attendance<Arc<News>>,
        asking: Asking<B, E>,
    ) where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let shared = Arc::clone(&self.shared);
        let for_all = storing.is_for_all(&shared, &self.asked);
        self.learn(for_all);
        if !for_all {
            // Those who wait already see for themselves.
            self.lead.close();
        }
        let length = storing.length();
        let news = News::Coming {
            head: Box::new(storing.head().clone()),
            length,
        };
        let status = self.status().status(response.status().as_u16());
        shared.mark(&status.stored(true), &mut response);
        let (parts, body) = response.into_parts();
        let begins = Response::from_parts(parts, ());
        let pump = Pump {
            shared,
            asked: self.asked,
            key: self.key,
            epoch: self.epoch,
            lead: self.lead,
            attendance,
        };
        pump.run(storing, body, Arc::new(news), || {
            reply(asking, Reply::Reading(begins, length));
        })
        .await;
    }

    /// The rest of a stored part, or whatever came instead.
    async fn completed<B, E>(
        self,
        completion: Asked,
        response: Response<B>,
        times: Times,
        mut attendance: Attendance<Arc<News>>,
        asking: Asking<B, E>,
    ) where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let storing = Storing::of(&self.shared, &completion, &response, times);
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return match storing {
                Ok(storing) => self.store(storing, response, attendance, asking).await,
                Err(why) => self.refuse(why, response, asking),
            };
        }
        let rest = match storing {
            Ok(storing) => storing.collect(response.into_body(), &mut attendance).await,
            Err(_) => None,
        };
        let whole = rest.zip(self.plan.stored.as_ref());
        let whole = whole
            .and_then(|((head, body), part)| Some((combined(part, &head, &body)?, head, body)));
        let Some((entry, head, body)) = whole else {
            let rest = self.refetch(asking);
            return finish(rest).await;
        };
        let now = self.shared.wall.now();
        let status = self.status().status(StatusCode::PARTIAL_CONTENT.as_u16());
        let answer = self.shared.answer(&self.asked.head(), &entry, now, &status);
        let rest = self
            .shared
            .keep(self.asked, self.key, head, body, &self.epoch);
        reply(asking, Reply::Answered(answer));
        finish(rest).await;
    }

    fn status(&self) -> CacheStatus<'static> {
        CacheStatus::forward(self.plan.why)
    }
}
