use std::{
    error::Error,
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use buttress_core::readiness;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use tokio::sync::oneshot;
use tower_service::Service;

use crate::{
    CacheBody,
    after::After,
    asked::Asked,
    decide::{Keys, Step, Triage},
    fetch::{Asking, Fetch, Plan, Task},
    flights::Boarding,
    future::ResponseFuture,
    leader::Leader,
    news::Lead,
    rfc9111::{self, Read, RequestHead},
    shared::Shared,
    store::{Answer, Variants},
    upstream::{Payload, Upstream},
};

/// The service that [`CacheLayer`](crate::CacheLayer) makes, see the [crate's front page](crate).
pub struct CacheService<S> {
    inner: S,
    pub(crate) shared: Arc<Shared>,
}

impl<S> CacheService<S> {
    pub(crate) const fn around(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    pub(crate) const fn inner(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, A, B> Service<Request<A>> for CacheService<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    A: Body + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<CacheBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, B, S::Error>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (keys, read) = match self.shared.triage(&request) {
            Triage::Untouched => return ResponseFuture::passing(self.inner.call(request), None),
            Triage::Pass(after) => {
                return ResponseFuture::passing(self.inner.call(request), Some(after));
            }
            Triage::LookUp(keys, read) => (keys, read),
        };
        match self.shared.store.get(keys.key) {
            Answer::Now(variants) => self.proceed(request, keys, read, variants),
            Answer::Later(answer) => {
                // Who has to wait holds nothing that others could use meanwhile.
                readiness::release(&mut self.inner);
                let mut service = self.clone();
                ResponseFuture::slow(async move {
                    let variants = service.shared.found(answer.await);
                    if let Some(response) = service.shared.at_once(&request, &variants) {
                        return Ok(response);
                    }
                    poll_fn(|cx| service.inner.poll_ready(cx)).await?;
                    service.proceed(request, keys, read, variants).await
                })
            }
        }
    }
}

impl<S> CacheService<S> {
    /// Goes on with what is stored.
    #[inline]
    fn proceed<A, B>(
        &mut self,
        request: Request<A>,
        keys: Keys,
        read: Read,
        variants: Variants,
    ) -> ResponseFuture<S::Future, B, S::Error>
    where
        S: Upstream<A, B>,
        A: Send + 'static,
        B: Payload,
    {
        let now = self.shared.wall.now();
        let head = RequestHead::known(request.method(), request.headers(), read);
        match self.shared.decide(&head, &variants, now) {
            Step::Serve { entry, stale } => {
                let response = self.shared.serve(&head, &entry, stale, now);
                readiness::release(&mut self.inner);
                ResponseFuture::ready(response)
            }
            Step::OnlyIfCached => {
                let response = self.shared.only_if_cached();
                readiness::release(&mut self.inner);
                ResponseFuture::ready(response)
            }
            Step::ServeAndRevalidate(entry) => {
                let response = self.shared.serve(&head, &entry, true, now);
                match self.shared.flights.begin(keys.key) {
                    Some(lead) => {
                        let plan = Plan {
                            why: rfc9111::Forward::Stale,
                            stored: Some(Arc::clone(&entry)),
                            completes: false,
                        };
                        let (mut parts, body) = request.into_parts();
                        let stored = entry.head();
                        rfc9111::detach(stored, &mut parts.method, &mut parts.headers);
                        let request = Request::from_parts(parts, body);
                        let asked = Asked::of(&request);
                        self.send(request, asked, keys, plan, lead, Asking::nobody());
                    }
                    None => readiness::release(&mut self.inner),
                }
                ResponseFuture::ready(response)
            }
            Step::Fetch(plan) if *request.method() == Method::HEAD => {
                let stored = plan.stored.filter(|_| !plan.completes);
                let validated = stored.clone();
                let after = After::head(
                    &self.shared,
                    &request,
                    read,
                    keys,
                    plan.why,
                    variants,
                    validated,
                );
                let mut request = request;
                if let Some(stored) = stored {
                    rfc9111::condition(stored.head(), request.headers_mut(), now);
                }
                ResponseFuture::passing(self.inner.call(request), Some(after))
            }
            Step::Fetch(plan) => {
                let flight_key = self.shared.flight_key(keys.key, &head);
                let learnt = self.shared.hit_for_miss.of(flight_key, now);
                if self.shared.passes(&head, &plan, learnt) {
                    return self.pass(request, keys, read, plan.why, now);
                }
                if !rfc9111::may_collapse(&head) {
                    let lead = self.shared.flights.alone();
                    return self.lead(request, keys, read, plan, lead);
                }
                let boarding = match learnt {
                    Some(_) => Boarding::Lead(self.shared.flights.alone()),
                    None => self.shared.flights.board(flight_key),
                };
                match boarding {
                    Boarding::Lead(lead) => {
                        self.look_again(request, keys, read, plan, lead, &variants)
                    }
                    Boarding::Follow(seat) => {
                        readiness::release(&mut self.inner);
                        let service = self.clone();
                        ResponseFuture::slow(service.follow(request, keys, plan, seat))
                    }
                }
            }
        }
    }

    /// Between the look into the store and the begin of a fetch, somebody else's may have ended: then
    /// what it stored is there now.
    fn look_again<A, B>(
        &mut self,
        request: Request<A>,
        keys: Keys,
        read: Read,
        plan: Plan,
        lead: Lead,
        seen: &Variants,
    ) -> ResponseFuture<S::Future, B, S::Error>
    where
        S: Upstream<A, B>,
        A: Send + 'static,
        B: Payload,
    {
        if let Answer::Now(variants) = self.shared.store.get(keys.key)
            && !variants.is(seen)
        {
            let now = self.shared.wall.now();
            let head = RequestHead::known(request.method(), request.headers(), read);
            if let Step::Serve { entry, stale } = self.shared.decide(&head, &variants, now) {
                let response = self.shared.serve(&head, &entry, stale, now);
                readiness::release(&mut self.inner);
                return ResponseFuture::ready(response);
            }
        }
        self.lead(request, keys, read, plan, lead)
    }

    /// Sends a request straight on, and looks at its answer all the same.
    pub(crate) fn pass<A, B>(
        &mut self,
        request: Request<A>,
        keys: Keys,
        read: Read,
        why: rfc9111::Forward,
        now: SystemTime,
    ) -> ResponseFuture<S::Future, B, S::Error>
    where
        S: Upstream<A, B>,
        A: Send + 'static,
        B: Payload,
    {
        let after = After::storing(&self.shared, &request, read, keys, why, now);
        ResponseFuture::passing(self.inner.call(request), Some(after))
    }

    /// Sends the request on, and waits for its answer.
    pub(crate) fn lead<A, B>(
        &mut self,
        request: Request<A>,
        keys: Keys,
        read: Read,
        plan: Plan,
        lead: Lead,
    ) -> ResponseFuture<S::Future, B, S::Error>
    where
        S: Upstream<A, B>,
        A: Send + 'static,
        B: Payload,
    {
        let seat = lead.seat();
        let (asking, asked) = oneshot::channel();
        let kept = Asked::known(&request, read);
        self.send(request, kept, keys, plan, lead, Asking::of(asking));
        ResponseFuture::leading(Leader::waiting(asked, seat, Arc::clone(&self.shared)))
    }

    /// Calls the inner service, which is ready, and has a task work on what follows.
    fn send<A, B>(
        &mut self,
        mut request: Request<A>,
        asked: Asked,
        keys: Keys,
        plan: Plan,
        lead: Lead,
        asking: Asking<B, S::Error>,
    ) where
        S: Upstream<A, B>,
        A: Send + 'static,
        B: Payload,
    {
        let shared = &self.shared;
        shared.tell_forwarded(plan.why);
        let grace = match asking.is_somebody() {
            true => shared.settings.on_disconnect.grace(),
            false => Some(shared.settings.background),
        };
        let mut fetch = Box::new(Fetch {
            asked,
            completion: None,
            key: keys.key,
            sent: shared.wall.now(),
            epoch: shared.epochs.begin(keys.key),
            attendance: shared.attendance(&lead, grace),
            shared: Arc::clone(shared),
            lead,
            plan,
        });
        if let Some(stored) = &fetch.plan.stored {
            if fetch.plan.completes {
                rfc9111::completion(stored.head(), request.headers_mut());
                fetch.completion = Some(Asked::of(&request));
            } else {
                rfc9111::condition(stored.head(), request.headers_mut(), fetch.sent);
            }
        }
        let answer = self.inner.call(request);
        let task = Task::asking(answer, fetch, asking);
        shared.executor.execute(Box::pin(task));
    }
}

impl<S: Clone> Clone for CacheService<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for CacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheService")
            .field("inner", &self.inner)
            .field("shared", &self.shared)
            .finish()
    }
}
