use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use buttress_core::readiness;
use tower_service::Service;

use crate::{
    Flavor, Http, Outgoing,
    flavor::Told,
    future::{Alarm, Held, ResponseFuture, Stage},
    shared::Shared,
};

/// The service that [`RetryLayer`](crate::RetryLayer) makes, see the [crate's front page](crate).
pub struct Retry<S, F = Http> {
    inner: S,
    shared: Arc<Shared<F>>,
}

impl<S, F> Retry<S, F> {
    pub(crate) fn around(inner: S, shared: Arc<Shared<F>>) -> Self {
        Self { inner, shared }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req, F> Service<Req> for Retry<S, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt> + Clone,
{
    type Response = F::Response;
    type Error = F::Error;
    type Future = ResponseFuture<S, Req, F>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), F::Error>> {
        self.inner.poll_ready(cx).map_err(F::not_ready)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let Self { inner, shared } = self;
        let Shared { settings, flavor } = &**shared;
        let mut progress = settings.begin();
        let now = progress.started;
        // Not taken apart before it must be: what it is made of is large, and every name for it may be a copy.
        let mut begun = flavor.begin(request, &settings.random);
        progress.within(flavor.timeout(&begun.1));

        if settings.is_anybody_parked(now) {
            // A copy: what is borrowed has to be in memory, and is in registers where nobody is parked.
            let mut progress = progress;
            if let Some(hold) = settings.hold(&mut progress, now, || flavor.key(&begun.1)) {
                // Who has to wait holds nothing that others could use meanwhile.
                readiness::release(inner);
                let held = Held {
                    service: inner.clone(),
                    shared: Arc::clone(shared),
                    call: begun.1,
                    progress,
                };
                return ResponseFuture::held_back(hold, begun.0, held);
            }
        }
        settings.attempt(&mut progress, now);
        let told = Told {
            number: 1,
            left: progress.time_left(now),
            tell_always: settings.tell_always,
        };
        flavor.prepare(&begun.1, &mut begun.0, told);
        let fresh = inner.clone();
        ResponseFuture {
            stage: Stage::Attempting {
                future: inner.call(begun.0),
                limit: settings.limit(&progress, now).map(Alarm::at),
            },
            held: Some(Held {
                service: fresh,
                shared: Arc::clone(shared),
                call: begun.1,
                progress,
            }),
        }
    }
}

impl<S: Clone, F> Clone for Retry<S, F> {
    // Derived, it would ask for `F: Clone`, which is shared.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug, F> fmt::Debug for Retry<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("inner", &self.inner)
            .field("shared", &self.shared)
            .finish()
    }
}
