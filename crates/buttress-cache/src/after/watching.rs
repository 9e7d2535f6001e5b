use std::{future::poll_fn, pin::pin, sync::Arc, time::SystemTime};

use buttress_http::LocalRefusal;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use super::{After, unheard::Unheard};
use crate::{
    CacheBody, Event,
    asked::Asked,
    decide::Keys,
    epochs::Epoch,
    event::NotStored,
    fetch::{Fetch, Plan},
    hit_for_miss::Lesson,
    keeping::finish,
    pump::Pump,
    rfc9111::{self, CacheStatus, Forward, HeadEffect, Read, Times, Unreachable, Validated},
    shared::Shared,
    store::{Entry, Variants},
    storing::Storing,
    upstream::Payload,
};

/// What is done with an answer that may be stored, or that tells of what is.
#[derive(Debug)]
pub(crate) struct Watching {
    shared: Arc<Shared>,
    asked: Asked,
    keys: Keys,
    why: Forward,
    /// What an answer to HEAD is compared with.
    stored: Variants,
    /// The one of these that HEAD was to validate.
    validated: Option<Arc<Entry>>,
    may_store: bool,
    sent: SystemTime,
    epoch: Epoch,
    pub(super) unheard: Option<Unheard>,
}

impl After {
    /// The answer may be stored.
    pub(crate) fn storing<A>(
        shared: &Arc<Shared>,
        request: &Request<A>,
        read: Read,
        keys: Keys,
        why: Forward,
        now: SystemTime,
    ) -> Self {
        Self::Watch(Watching::of(shared, request, read, keys, why, now))
    }

    /// The answer is compared with what is stored for GET.
    pub(crate) fn head<A>(
        shared: &Arc<Shared>,
        request: &Request<A>,
        read: Read,
        keys: Keys,
        why: Forward,
        stored: Variants,
        validated: Option<Arc<Entry>>,
    ) -> Self {
        let mut watching = Watching::of(shared, request, read, keys, why, shared.wall.now());
        watching.may_store = false;
        watching.stored = stored;
        watching.validated = validated;
        Self::Watch(watching)
    }
}

impl Watching {
    fn of<A>(
        shared: &Arc<Shared>,
        request: &Request<A>,
        read: Read,
        keys: Keys,
        why: Forward,
        now: SystemTime,
    ) -> Box<Self> {
        shared.tell_forwarded(why);
        Box::new(Self {
            asked: Asked::known(request, read),
            keys,
            why,
            stored: Variants::none(),
            validated: None,
            may_store: true,
            sent: now,
            epoch: shared.epochs.begin(keys.key),
            unheard: Unheard::of(shared, keys, request.method()),
            shared: Arc::clone(shared),
        })
    }

    pub(super) fn finish<B: Payload>(
        mut self: Box<Self>,
        mut response: Response<B>,
    ) -> Response<CacheBody<B>> {
        // Who was not asked has changed nothing, and tells nothing of what is stored.
        let is_refused = LocalRefusal::of(&response).is_some();
        if !is_refused {
            self.heed(&response);
        }
        let shared = &self.shared;
        let times = Times {
            requested: self.sent,
            responded: shared.wall.now(),
        };
        if let Some(stored) = &self.validated
            && let Some(answer) = self.validate(stored, &response, times)
        {
            return answer;
        }
        if !is_refused {
            for stored in self.stored.as_slice() {
                self.compare(stored, &response, times);
            }
        }
        if self.may_store {
            match Storing::of(shared, &self.asked, &response, times) {
                Ok(storing) => return self.store(storing, response),
                Err(why) => self.refuse(why, response.status(), times),
            }
        }
        self.mark(&mut response);
        response.map(CacheBody::inner)
    }

    /// Forgets what the answer outdates. The epoch in which it was asked for goes on.
    fn heed<B>(&mut self, response: &Response<B>) {
        let (shared, headers) = (&self.shared, response.headers());
        if rfc9111::invalidate(&self.asked.method, response.status()) {
            let target = rfc9111::names_targets(headers)
                .then(|| self.asked.target(&shared.settings.scheme))
                .flatten();
            self.epoch.despite(shared.heed(self.keys, target, headers));
        }
    }

    fn refuse(&self, why: NotStored, status: StatusCode, times: Times) {
        let shared = &self.shared;
        shared.tell(&Event::NotStored { why });
        if let Some(lesson) = Lesson::of(why, status) {
            let head = self.asked.head();
            shared.learn_refused(&self.epoch, &head, lesson, times.responded);
        }
    }

    fn mark<B>(&self, response: &mut Response<B>) {
        let status = CacheStatus::forward(self.why).status(response.status().as_u16());
        self.shared.mark(&status, response);
    }

    /// What HEAD gets where what is stored answers it after all.
    fn validate<B: Body>(
        &self,
        stored: &Arc<Entry>,
        response: &Response<B>,
        times: Times,
    ) -> Option<Response<CacheBody<B>>> {
        let (shared, head) = (&self.shared, self.asked.head());
        let (code, fields) = (response.status(), response.headers());
        let status = CacheStatus::forward(self.why).status(code.as_u16());
        if LocalRefusal::of(response).is_some()
            && shared.would_serve(&head, stored, times.responded)
        {
            return self.unreachable();
        }
        match rfc9111::validated(&shared.options, &head, stored.head(), code, fields, times) {
            Validated::Freshened {
                head: fresh,
                upkeep,
            } => {
                shared.tell(&Event::Validated);
                let entry = Arc::new(stored.with_head(*fresh));
                let key = self.keys.key;
                shared.later(shared.keep_up(key, stored, &entry, upkeep, &self.epoch));
                Some(shared.answer(&head, &entry, times.responded, &status))
            }
            Validated::Stale => {
                shared.tell(&Event::StaleOnFailure { status: Some(code) });
                Some(shared.answer(&head, stored, times.responded, &status))
            }
            // As to GET: what is stored answers this once, and goes.
            Validated::Refetch => {
                shared.later(shared.update(self.keys.key, stored, None, &self.epoch));
                Some(shared.answer(&head, stored, times.responded, &status))
            }
            _ => None,
        }
    }

    /// What HEAD gets where the origin gave no answer; `None`: that it gave none.
    pub(super) fn unreachable<B: Body>(&self) -> Option<Response<CacheBody<B>>> {
        let (shared, stored) = (&self.shared, self.validated.as_ref()?);
        let (head, now) = (self.asked.head(), shared.wall.now());
        let status = CacheStatus::forward(self.why);
        Some(
            match rfc9111::unreachable(&shared.options, &head, stored.head(), now) {
                Unreachable::Stale => {
                    shared.tell(&Event::StaleOnFailure { status: None });
                    shared.answer(&head, stored, now, &status)
                }
                Unreachable::GatewayTimeout => shared.gateway_timeout(&status),
            },
        )
    }

    fn compare<B>(&self, stored: &Arc<Entry>, response: &Response<B>, times: Times) {
        let (shared, key) = (&self.shared, self.keys.key);
        let effect = rfc9111::head_response(
            &shared.options,
            &self.asked.head(),
            stored.head(),
            stored.body().len() as u64,
            response.status(),
            response.headers(),
            times,
        );
        shared.later(match effect {
            HeadEffect::Update(head) => {
                let new = Arc::new(stored.with_head(*head));
                shared.update(key, stored, Some(new), &self.epoch)
            }
            HeadEffect::Stale => shared.make_stale(key, stored, &self.epoch),
            _ => None,
        });
    }

    /// The answer is to GET after all, or to POST and may be one to GET (RFC 9110 §9.3.3). It is stored as it is
    /// read.
    fn store<B>(
        self: Box<Self>,
        storing: Storing,
        mut response: Response<B>,
    ) -> Response<CacheBody<B>>
    where
        B: Payload,
    {
        if self.asked.method == Method::GET {
            storing.teach(&self.shared, &self.epoch, &self.asked);
        }
        let lead = self.shared.flights.alone();
        let Some(seat) = lead.seat() else {
            self.mark(&mut response);
            return response.map(CacheBody::inner);
        };
        let status = CacheStatus::forward(self.why).status(response.status().as_u16());
        self.shared.mark(&status.stored(true), &mut response);
        let (parts, body) = response.into_parts();
        let grace = self.shared.settings.on_disconnect.grace();
        let executor = Arc::clone(&self.shared.executor);
        let fetch = Fetch {
            attendance: self.shared.attendance(&lead, grace),
            asked: self.asked,
            completion: None,
            key: self.keys.key,
            plan: Plan::plain(self.why),
            lead,
            sent: self.sent,
            epoch: self.epoch,
            shared: self.shared,
        };
        let mut pump = Pump::of(Box::new(fetch), storing);
        let length = pump.begin();
        executor.execute(Box::pin(async move {
            let mut body = pin!(body);
            let rest = poll_fn(|cx| pump.poll(body.as_mut(), cx)).await;
            finish(rest).await;
        }));
        Response::from_parts(parts, CacheBody::read(seat, length))
    }
}
