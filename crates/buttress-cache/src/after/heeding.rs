use std::sync::Arc;

use buttress_http::LocalRefusal;
use http::{HeaderValue, Method, Request, Response, Uri, header::HOST};

use super::{After, unheard::Unheard};
use crate::{
    CacheBody, Event,
    asked::original,
    decide::Keys,
    rfc9111::{self, CacheStatus, Forward, Target},
    shared::Shared,
    storing::refused_at_sight,
    upstream::Payload,
};

/// What is done with an answer that is never stored: of its request no more is kept than what it takes to tell
/// which targets it outdates.
#[derive(Debug)]
pub(crate) struct Heeding {
    shared: Arc<Shared>,
    keys: Keys,
    why: Forward,
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    pub(super) unheard: Option<Unheard>,
}

impl After {
    pub(crate) fn heeding<A>(
        shared: &Arc<Shared>,
        request: &Request<A>,
        keys: Keys,
        why: Forward,
    ) -> Self {
        shared.tell_forwarded(why);
        Self::Heed(Box::new(Heeding {
            shared: Arc::clone(shared),
            keys,
            why,
            method: request.method().clone(),
            uri: original(request.uri(), request.extensions()).clone(),
            host: request.headers().get(HOST).cloned(),
            unheard: Unheard::of(shared, keys, request.method()),
        }))
    }
}

impl Heeding {
    pub(super) fn finish<B: Payload>(self, mut response: Response<B>) -> Response<CacheBody<B>> {
        let Self { shared, keys, .. } = &self;
        let (status, headers) = (response.status(), response.headers());
        let is_refused = LocalRefusal::of(&response).is_some();
        if rfc9111::invalidate(&self.method, status) && !is_refused {
            let target = rfc9111::names_targets(headers).then(|| {
                let scheme = &shared.settings.scheme;
                Target::told(scheme, &self.uri, self.host.as_ref())
            });
            shared.heed(*keys, target.flatten(), headers);
        }
        // A bypass is no refusal to store.
        if self.why == Forward::Method
            && let Some(why) = refused_at_sight(&self.method, &response)
        {
            shared.tell(&Event::NotStored { why });
        }
        let status = CacheStatus::forward(self.why).status(status.as_u16());
        shared.mark(&status, &mut response);
        response.map(CacheBody::inner)
    }
}
