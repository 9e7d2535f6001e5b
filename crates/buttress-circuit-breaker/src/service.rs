use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use buttress_core::{ExtractKey, View, readiness};
use buttress_http::Head;
use tower_service::Service;

use crate::{
    Flavor, Http, OwnedPermit, Refused,
    circuit::Ticket,
    future::ResponseFuture,
    shared::{At, Shared},
};

/// The service that [`CircuitBreakerLayer`](crate::CircuitBreakerLayer) makes, see the
/// [crate's front page](crate).
pub struct CircuitBreakerService<S, T: ?Sized = Head, F = Http> {
    inner: S,
    shared: Arc<Shared>,
    key: Option<Arc<dyn ExtractKey<T>>>,
    flavor: F,
}

impl<S, T: ?Sized, F> CircuitBreakerService<S, T, F> {
    pub(crate) fn around(
        inner: S,
        shared: Arc<Shared>,
        key: Option<Arc<dyn ExtractKey<T>>>,
        flavor: F,
    ) -> Self {
        Self {
            inner,
            shared,
            key,
            flavor,
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
    T: View<Req> + ?Sized + 'static,
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
            key,
            flavor,
        } = self;
        let from = T::of(&request);
        match admit(shared, key.as_deref(), from) {
            Ok((at, ticket)) => {
                let asked = flavor.asked(from);
                let permit = OwnedPermit::with(Arc::clone(shared), at, ticket);
                ResponseFuture::calling(inner.call(request), asked, permit)
            }
            Err(refused) => {
                readiness::release(inner);
                let name = &shared.settings.name;
                ResponseFuture::refused(flavor.refuse(request, name, &refused))
            }
        }
    }
}

/// Asks the circuit of whoever the request belongs to.
#[inline]
fn admit<T: ?Sized + 'static>(
    shared: &Shared,
    key: Option<&dyn ExtractKey<T>>,
    from: &T,
) -> Result<(At, Ticket), Refused> {
    if let (Some(keyed), Some(key)) = (&shared.keyed, key)
        && let Ok(key) = keyed.secret.digest_from(key, from)
    {
        let (at, _, ticket) = shared.admit_for(keyed, key.into(), || key)?;
        return Ok((at, ticket));
    }
    Ok((At::ONLY, shared.admit()?))
}

impl<S: Clone, T: ?Sized, F: Clone> Clone for CircuitBreakerService<S, T, F> {
    // Derived, it would ask for `T: Clone`, of which there is none in here.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
            key: self.key.clone(),
            flavor: self.flavor.clone(),
        }
    }
}

impl<S: fmt::Debug, T: ?Sized, F> fmt::Debug for CircuitBreakerService<S, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerService")
            .field("inner", &self.inner)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}
