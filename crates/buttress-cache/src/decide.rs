use std::{sync::Arc, time::SystemTime};

use buttress_core::{Digest, View};
use buttress_http::Head;
use http::{Method, Request, StatusCode};
use http_body::Body;

use crate::{
    Event,
    after::After,
    asked::original,
    fetch::Plan,
    rfc9111::{self, Admission, Forward, Miss, Pass, Read, RequestHead, Reuse, Selection, Target},
    shared::Shared,
    store::{Entry, Variants},
};

/// What is done with a request before the store is asked.
pub(crate) enum Triage {
    /// Nothing at all: a tunnel is none of a cache's business.
    Untouched,
    /// It goes to the inner service, and its answer is looked at.
    Pass(After),
    /// The store may have the answer.
    LookUp(Keys, Read),
}

/// What a request is kept under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    pub(crate) key: Digest,
    pub(crate) partition: Option<Digest>,
}

/// What is done with a request for which the store was asked.
#[derive(Debug)]
pub(crate) enum Step {
    /// This is served.
    Serve { entry: Arc<Entry>, stale: bool },
    /// This is served, and validated in the background.
    ServeAndRevalidate(Arc<Entry>),
    /// The origin is asked.
    Fetch(Plan),
    /// The client wants nothing but what is stored, and there is nothing to serve.
    OnlyIfCached,
}

impl Shared {
    /// Reads a request.
    #[inline]
    pub(crate) fn triage<A: Body + 'static>(self: &Arc<Self>, request: &Request<A>) -> Triage {
        let body = request.body();
        let has_body = !body.is_end_stream() && body.size_hint().exact() != Some(0);
        let head = RequestHead::new(request.method(), request.headers());
        let admission = rfc9111::admit(&head, has_body);
        // What is refused the change of protocols is answered as any other, and an unsafe one then invalidates.
        let is_tunnel = *request.method() == Method::CONNECT;
        if let Admission::Pass(Pass::Upgrade) = admission
            && (is_tunnel || !rfc9111::invalidate(request.method(), StatusCode::OK))
        {
            return Triage::Untouched;
        }
        let uri = original(request.uri(), request.extensions());
        let Some(target) = Target::of(&self.settings.scheme, uri, request.headers()) else {
            return Triage::Untouched;
        };
        let partition = match &self.settings.partition {
            None => None,
            Some(partition) => match self.secret.digest_from(&**partition, Head::of(request)) {
                Ok(partition) => Some(partition),
                // Nobody's is not everybody's.
                Err(_) => return Triage::Untouched,
            },
        };
        let keys = Keys {
            key: self.key(&target, partition),
            partition,
        };
        let bypass = self.settings.bypass.as_ref();
        let bypassed = bypass.is_some_and(|bypass| bypass(Head::of(request)));
        let why = match admission {
            _ if bypassed => Forward::Bypass,
            Admission::Pass(Pass::Method) if *request.method() == Method::POST => {
                return Triage::Pass(After::storing(
                    self,
                    request,
                    head.read(),
                    keys,
                    Forward::Method,
                    self.wall.now(),
                ));
            }
            Admission::Pass(why) => why.forward(),
            Admission::Lookup => return Triage::LookUp(keys, head.read()),
        };
        Triage::Pass(After::heeding(self, request, keys, why))
    }

    /// What is done with a request for which the store has `variants`.
    #[inline]
    pub(crate) fn decide(
        &self,
        head: &RequestHead<'_>,
        variants: &Variants,
        now: SystemTime,
    ) -> Step {
        let stored = variants.as_slice();
        let selection = rfc9111::select(head, stored.iter().map(|entry| entry.head()));
        let entry = match selection {
            Selection::Variant(at) => stored.get(at),
            _ => None,
        };
        let Some(entry) = entry else {
            return match rfc9111::miss(head, selection) {
                Miss::Fetch(why) => Step::Fetch(Plan::plain(why)),
                Miss::GatewayTimeout => Step::OnlyIfCached,
            };
        };
        let entry = Arc::clone(entry);
        match rfc9111::reuse(&self.options, head, entry.head(), now) {
            Reuse::Serve(_) => {
                let stale = !entry.head().is_fresh(now);
                Step::Serve { entry, stale }
            }
            Reuse::ServeAndRevalidate => Step::ServeAndRevalidate(entry),
            Reuse::Validate(why) => Step::Fetch(Plan {
                why,
                stored: Some(entry),
                completes: false,
            }),
            Reuse::GatewayTimeout => Step::OnlyIfCached,
            Reuse::Fetch(why) => Step::Fetch(Plan::plain(why)),
            Reuse::Complete => Step::Fetch(if self.can_complete(&entry) {
                Plan {
                    why: Forward::Partial,
                    stored: Some(entry),
                    completes: true,
                }
            } else {
                Plan::plain(Forward::Partial)
            }),
        }
    }

    /// Whether all of what a part is of would find room here.
    fn can_complete(&self, part: &Entry) -> bool {
        let complete = part.head().part().and_then(|part| part.complete);
        complete.is_some_and(|complete| complete <= self.settings.largest as u64)
    }

    /// Says that a request was sent on.
    pub(crate) fn tell_forwarded(&self, why: Forward) {
        self.tell(&Event::Forwarded { why });
    }
}
