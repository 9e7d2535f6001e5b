mod builder;

use std::{fmt, sync::Arc};

use buttress_http::Head;
use tower_layer::Layer;

pub use self::builder::RateLimitLayerBuilder;
use crate::{AsError, AsResponse, Limit, Policy, RateLimit, limits::Limits};

/// Limits the requests to a service, see the [crate's front page](crate).
///
/// `T` is what keys are read from, `R` how a refusal reads. All services that it makes, and all clones of
/// these, share their state.
pub struct RateLimitLayer<T: ?Sized = Head, R = AsResponse> {
    limits: Arc<Limits<T>>,
    refuse: R,
}

impl RateLimitLayer {
    /// For HTTP: a refusal is a response, and the service's error type stays what it is.
    pub fn http(policy: Policy<Head>) -> RateLimitLayerBuilder<Head, AsResponse> {
        RateLimitLayerBuilder::starting_with(policy)
    }
}

impl<T: ?Sized + 'static> RateLimitLayer<T, AsError> {
    /// For any request: a refusal is an [`Error`](crate::Error).
    ///
    /// Not for tonic's *server*, which resets the stream on an error: use [`http`](RateLimitLayer::http)
    /// there, whose refusals gRPC callers understand.
    pub fn typed(policy: Policy<T>) -> RateLimitLayerBuilder<T, AsError> {
        RateLimitLayerBuilder::starting_with(policy)
    }
}

impl<T: ?Sized + 'static, R> RateLimitLayer<T, R> {
    /// The limits of the policies that are enforced, in their order: their names and quotas, and how often
    /// a key found [no place](Limit::overflowed).
    #[must_use]
    pub fn limits(&self) -> &[Arc<Limit>] {
        self.limits.all()
    }

    /// The limit of the policy of this name, enforced or [only tried out](Policy::shadow), which may be kept as a handle
    /// to it: to [change its quota](Limit::set_quota) while the layer is in use.
    #[must_use]
    pub fn limit(&self, policy: &str) -> Option<&Arc<Limit>> {
        let mut all = self.limits().iter().chain(self.limits.shadows());
        all.find(|limit| limit.name() == policy)
    }
}

impl<S, T: ?Sized, R: Clone> Layer<S> for RateLimitLayer<T, R> {
    type Service = RateLimit<S, T, R>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::around(inner, Arc::clone(&self.limits), self.refuse.clone())
    }
}

impl<T: ?Sized, R: Clone> Clone for RateLimitLayer<T, R> {
    // Derived, it would ask for `T: Clone`, of which there is none in here.
    fn clone(&self) -> Self {
        Self {
            limits: Arc::clone(&self.limits),
            refuse: self.refuse.clone(),
        }
    }
}

impl<T: ?Sized + 'static, R> fmt::Debug for RateLimitLayer<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("limits", &self.limits.all())
            .finish_non_exhaustive()
    }
}
