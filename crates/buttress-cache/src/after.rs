use std::{future::poll_fn, pin::pin, sync::Arc, time::SystemTime};

use http::{Request, Response};
use http_body::Body;

use crate::{
    CacheBody, Event,
    asked::Asked,
    decide::Keys,
    epochs::Epoch,
    fetch::{Fetch, Plan},
    keeping::finish,
    pump::Pump,
    rfc9111::{self, CacheStatus, Forward, HeadEffect, Times, Unreachable, Validated},
    shared::Shared,
    store::{Entry, Variants},
    storing::Storing,
    upstream::Payload,
};

/// What is done with the answer to a request that went straight to the inner service.
#[derive(Debug)]
pub(crate) struct After {
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
}

impl After {
    /// The answer may invalidate what is stored; it is stored itself where `may_store` says so.
    pub(crate) fn watching<A>(
        shared: &Arc<Shared>,
        request: &Request<A>,
        keys: Keys,
        why: Forward,
        may_store: bool,
    ) -> Box<Self> {
        shared.tell_forwarded(why);
        Box::new(Self {
            asked: Asked::of(request),
            keys,
            why,
            stored: Variants::none(),
            validated: None,
            may_store,
            sent: shared.wall.now(),
            epoch: shared.epochs.begin(keys.key),
            shared: Arc::clone(shared),
        })
    }

    /// The answer is compared with what is stored for GET.
    pub(crate) fn head<A>(
        shared: &Arc<Shared>,
        request: &Request<A>,
        keys: Keys,
        why: Forward,
        stored: Variants,
        validated: Option<Arc<Entry>>,
    ) -> Box<Self> {
        let mut after = Self::watching(shared, request, keys, why, false);
        after.stored = stored;
        after.validated = validated;
        after
    }

    pub(crate) fn finish<B>(mut self, mut response: Response<B>) -> Response<CacheBody<B>>
    where
        B: Payload,
    {
        let (status, headers) = (response.status(), response.headers());
        if status.is_informational() {
            // Nothing but 101 comes this way: the connection leaves HTTP.
            return response.map(CacheBody::inner);
        }
        let (partition, epoch) = (self.keys.partition, self.epoch);
        self.epoch = self
            .shared
            .heed(&self.asked, partition, status, headers, epoch);
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
        for stored in self.stored.as_slice() {
            self.compare(stored, &response, times);
        }
        let storing = self
            .may_store
            .then(|| Storing::of(shared, &self.asked, &response, times));
        match storing {
            Some(Ok(storing)) => self.store(storing, response),
            Some(Err(why)) => {
                shared.tell(&Event::NotStored { why });
                self.mark(&mut response);
                response.map(CacheBody::inner)
            }
            None => {
                self.mark(&mut response);
                response.map(CacheBody::inner)
            }
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
        match rfc9111::validated(&shared.options, &head, stored.head(), code, fields, times) {
            Validated::Freshened {
                head: fresh,
                upkeep,
            } => {
                shared.tell(&Event::Validated);
                let entry = Arc::new(Entry::new(*fresh, stored.body().clone()));
                let key = self.keys.key;
                shared.later(shared.keep_up(key, stored, &entry, upkeep, &self.epoch));
                Some(shared.answer(&head, &entry, times.responded, &status))
            }
            Validated::Stale => {
                shared.tell(&Event::StaleOnFailure { status: Some(code) });
                Some(shared.answer(&head, stored, times.responded, &status))
            }
            _ => None,
        }
    }

    /// What HEAD gets where the origin gave no answer; `None`: that it gave none.
    pub(crate) fn unreachable<B: Body>(&self) -> Option<Response<CacheBody<B>>> {
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
                let new = Arc::new(Entry::new(*head, stored.body().clone()));
                shared.update(key, stored, Some(new), &self.epoch)
            }
            HeadEffect::Stale => shared.make_stale(key, stored, &self.epoch),
            _ => None,
        });
    }

    /// The answer to POST may be one to GET (RFC 9110 §9.3.3). It is stored as it is read.
    fn store<B>(self, storing: Storing, mut response: Response<B>) -> Response<CacheBody<B>>
    where
        B: Payload,
    {
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
