use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use buttress_core::readiness;
use tower_service::Service;

use crate::{
    Flavor, Http, Outgoing,
    flavor::{Begun, Told},
    future::{Held, ResponseFuture},
    settings::Passage,
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
        let Begun {
            mut attempt,
            call,
            timeout,
        } = flavor.begin(request, &settings.random);
        progress.within(timeout);

        let mut held = Held {
            service: inner.clone(),
            shared: Arc::clone(shared),
            call,
            progress,
        };
        match settings.passage(&mut held.progress, now, || flavor.key(&held.call)) {
            Passage::Go => {
                held.progress.attempts = 1;
                settings.called(now);
                let told = Told {
                    number: 1,
                    left: held.progress.time_left(now),
                    tell_always: settings.tell_always,
                };
                flavor.prepare(&held.call, &mut attempt, told);
                let limit = settings.limit(&held.progress, || now);
                let timer = limit.map(|limit| settings.timer.sleep(limit));
                ResponseFuture::calling(inner.call(attempt), timer, held)
            }
            Passage::Wait(wait) => {
                // Who has to wait holds nothing that others could use meanwhile.
                readiness::release(inner);
                ResponseFuture::waiting(wait, attempt, held)
            }
            Passage::Refuse(wait) => {
                readiness::release(inner);
                ResponseFuture::refused(wait, held)
            }
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
