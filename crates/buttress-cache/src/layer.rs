use std::sync::Arc;

use tower_layer::Layer;

use crate::{Cache, CacheLayerBuilder, CacheService, rfc9111::Options, shared::Shared};

/// Answers from a cache what may be answered from it (RFC 9111), see the [crate's front page](crate).
///
/// Its store, and the fetches under way, belong to all services that it makes.
#[derive(Clone, Debug)]
pub struct CacheLayer {
    shared: Arc<Shared>,
}

impl CacheLayer {
    /// A cache for many users: in front of a service, or in a reverse proxy.
    ///
    /// It stores nothing that is `private`, nothing that was asked for with `Authorization` unless the response allows it,
    /// and nothing that sets a cookie unless [you](CacheLayerBuilder::set_cookie) do.
    pub fn shared() -> CacheLayerBuilder {
        CacheLayerBuilder::with(Options::shared())
    }

    /// A cache for one user: around a client.
    pub fn private() -> CacheLayerBuilder {
        CacheLayerBuilder::with(Options::private())
    }

    pub(crate) fn of(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The handle: to invalidate, to look into the store, to see what was done.
    #[must_use]
    pub fn cache(&self) -> Cache {
        Cache::of(Arc::clone(&self.shared))
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService::around(inner, Arc::clone(&self.shared))
    }
}
