use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use buttress_core::{
    Digest, DigestKey, Executor, Sleep,
    clock::{AnyClock, WallClock},
};
use buttress_http::LocalRefusal;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header::CONTENT_LENGTH};
use http_body::Body;

use crate::{
    CacheBody, Event,
    budget::Budget,
    decide::Step,
    epochs::Epochs,
    flight::Attendance,
    hit_for_miss::HitForMiss,
    key::{flight_key, key_of},
    news::{Flights, Lead, News},
    rfc9111::{self, Answer, CacheStatus, Options, RequestHead, Slice, Target},
    settings::Settings,
    stats::Counts,
    store::{Entry, Store, Variants},
};

/// What all services of a layer, their clones and the handle share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) settings: Settings,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) hit_for_miss: HitForMiss,
    pub(crate) epochs: Arc<Epochs>,
    /// For bodies on their way into the store.
    pub(crate) budget: Arc<Budget>,
    /// For bodies that are held for those who have not read them yet.
    pub(crate) readers: Arc<Budget>,
    pub(crate) secret: DigestKey,
    pub(crate) wall: Arc<dyn WallClock>,
    pub(crate) clock: AnyClock,
    pub(crate) timer: Arc<dyn Sleep>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) counts: Counts,
}

impl Shared {
    #[inline]
    pub(crate) fn tell(&self, event: &Event<'_>) {
        self.counts.count(event);
        if let Some(observer) = &self.settings.observer {
            observer.observe(event);
        }
    }

    /// What is stored for `target` is under this key.
    pub(crate) fn key(&self, target: &Target<'_>, partition: Option<Digest>) -> Digest {
        key_of(&self.secret, target, partition)
    }

    /// Under which a request that misses `key` shares a fetch.
    pub(crate) fn flight_key(&self, key: Digest, head: &RequestHead<'_>) -> Digest {
        flight_key(key, self.options.shared && head.has_credentials())
    }

    /// The answer out of the store.
    #[inline]
    pub(crate) fn answer<B: Body>(
        &self,
        head: &RequestHead<'_>,
        entry: &Entry,
        now: SystemTime,
        status: &CacheStatus<'_>,
    ) -> Response<CacheBody<B>> {
        let body = entry.body();
        let length = body.len() as u64;
        let reading = rfc9111::answer(head, entry.head(), length, now);
        let (code, mut headers) = rfc9111::answer_head(&reading, entry.head(), now);
        if *head.method() == Method::HEAD && matches!(reading, Answer::Stored) && length > 0 {
            // Servers that tell a body's length by the body would say that there is none.
            let length = || HeaderValue::from(length);
            headers.entry(CONTENT_LENGTH).or_insert_with(length);
        }
        status.append(&self.settings.name, &mut headers);
        let bytes = match &reading {
            _ if *head.method() == Method::HEAD => Bytes::new(),
            Answer::Stored => body.clone(),
            Answer::Part(slice) => part(body, slice),
            _ => Bytes::new(),
        };
        let mut response = Response::new(CacheBody::stored(bytes));
        *response.status_mut() = code;
        *response.headers_mut() = headers;
        response
    }

    /// Whether what is stored would be served by itself, were there no doubt about it.
    pub(crate) fn would_serve(
        &self,
        head: &RequestHead<'_>,
        entry: &Entry,
        now: SystemTime,
    ) -> bool {
        rfc9111::but_for_doubt(&self.options, head, entry.head(), now)
    }

    /// A hit.
    #[inline]
    pub(crate) fn serve<B: Body>(
        &self,
        head: &RequestHead<'_>,
        entry: &Entry,
        stale: bool,
        now: SystemTime,
    ) -> Response<CacheBody<B>> {
        let age = entry.head().age(now);
        self.tell(&Event::Hit { age, stale });
        let status = CacheStatus::hit(entry.head().ttl(now));
        self.answer(head, entry, now, &status)
    }

    /// The answer to a request for which the inner service is not needed.
    pub(crate) fn at_once<A, B: Body>(
        &self,
        request: &Request<A>,
        variants: &Variants,
    ) -> Option<Response<CacheBody<B>>> {
        let now = self.wall.now();
        let head = RequestHead::new(request.method(), request.headers());
        match self.decide(&head, variants, now) {
            Step::Serve { entry, stale } => Some(self.serve(&head, &entry, stale, now)),
            Step::OnlyIfCached => Some(self.only_if_cached()),
            Step::ServeAndRevalidate(_) | Step::Fetch(_) => None,
        }
    }

    /// What a client gets that wants nothing but what is stored, where nothing is.
    #[cold]
    pub(crate) fn only_if_cached<B: Body>(&self) -> Response<CacheBody<B>> {
        let mut response = self.gateway_timeout(&CacheStatus::refused().detail("only-if-cached"));
        LocalRefusal::new(None).mark(&mut response);
        response
    }

    /// Watches over a fetch that goes on for so long after everybody has left.
    pub(crate) fn attendance(&self, lead: &Lead, grace: Option<Duration>) -> Attendance<Arc<News>> {
        let timer = Arc::clone(&self.timer);
        let flight = Arc::clone(lead.flight());
        Attendance::of(flight, timer, grace, self.settings.patience)
    }

    /// What only-if-cached gets, and whoever must not be served something stale.
    #[cold]
    pub(crate) fn gateway_timeout<B: Body>(
        &self,
        status: &CacheStatus<'_>,
    ) -> Response<CacheBody<B>> {
        self.tell(&Event::GatewayTimeout);
        let (code, mut headers) = rfc9111::gateway_timeout();
        status.append(&self.settings.name, &mut headers);
        let mut response = Response::new(CacheBody::empty());
        *response.status_mut() = code;
        *response.headers_mut() = headers;
        response
    }

    /// Adds to an answer how the cache dealt with its request (RFC 9211).
    pub(crate) fn mark<B>(&self, status: &CacheStatus<'_>, response: &mut Response<B>) {
        status.append(&self.settings.name, response.headers_mut());
    }
}

/// The bytes that a part is made of; they are within the body, or it would not have been promised.
fn part(body: &Bytes, slice: &Slice) -> Bytes {
    let range = usize::try_from(slice.offset)
        .ok()
        .zip(usize::try_from(slice.length).ok())
        .and_then(|(offset, length)| body.get(offset..offset.checked_add(length)?));
    range.map_or_else(Bytes::new, |bytes| body.slice_ref(bytes))
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("options", &self.options)
            .field("settings", &self.settings)
            .field("store", &self.store)
            .field("flights", &self.flights)
            .finish_non_exhaustive()
    }
}
