use std::{
    fmt,
    marker::PhantomData,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use buttress_core::View;
use buttress_http::Head;
use tower_service::Service;

use crate::{Flavor, Http, OwnedPermit, future::ResponseFuture, shared::Shared};

/// The service that [`CircuitBreakerLayer`](crate::CircuitBreakerLayer) makes, see the
/// [crate's front page](crate).
pub struct CircuitBreakerService<S, T = Head, F = Http> {
    inner: S,
    shared: Arc<Shared>,
    flavor: F,
    reads: PhantomData<fn(&T)>,
}

impl<S, T, F> CircuitBreakerService<S, T, F> {
    pub(crate) fn around(inner: S, shared: Arc<Shared>, flavor: F) -> Self {
        Self {
            inner,
            shared,
            flavor,
            reads: PhantomData,
        }
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

impl<S, Req, T, F> Service<Req> for CircuitBreakerService<S, T, F>
where
    S: Service<Req> + Clone,
    T: View<Req>,
    F: Flavor<T, Req, S::Response, S::Error>,
{
    type Response = F::Response;
    type Error = F::Error;
    type Future = ResponseFuture<S, Req, T, F>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), F::Error>> {
        self.inner.poll_ready(cx).map_err(F::error)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let Self {
            inner,
            shared,
            flavor,
            ..
        } = self;
        let (request, admission) = T::view(request, |from| {
            shared.admit().map(|ticket| (ticket, flavor.asked(from)))
        });
        match admission {
            Ok((ticket, asked)) => {
                let permit = OwnedPermit::with(Arc::clone(shared), ticket);
                ResponseFuture::calling(inner.call(request), asked, permit)
            }
            Err(refused) => {
                release(inner);
                let name = &shared.settings.name;
                ResponseFuture::refused(flavor.refuse(request, name, &refused))
            }
        }
    }
}

/// Drops the service that was made ready for a call that is not made: it may hold a permit, which an idle
/// connection would keep for good.
#[cold]
fn release<S: Clone>(inner: &mut S) {
    let fresh = inner.clone();
    drop(mem::replace(inner, fresh));
}

impl<S: Clone, T, F: Clone> Clone for CircuitBreakerService<S, T, F> {
    // Derived, it would ask for `T: Clone`, of which there is none in here.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
            flavor: self.flavor.clone(),
            reads: PhantomData,
        }
    }
}

impl<S: fmt::Debug, T, F> fmt::Debug for CircuitBreakerService<S, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerService")
            .field("inner", &self.inner)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}
