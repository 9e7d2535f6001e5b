use std::{fmt, marker::PhantomData, sync::Arc};

use buttress_core::{Clock, ConfigError, DigestKey, Observer, clock::AnyClock};
use buttress_http::{FieldStyle, Head};
use tower_layer::Layer;

use crate::{
    AsError, AsResponse, Event, Policy, RateLimit, Store,
    limiter::{DEFAULT_MAX_KEYS, checked_max_keys},
    limits::{Backend, Limits},
    store::MemoryStore,
};

/// Limits the requests to a service, see the [crate's front page](crate).
///
/// `T` is what keys are read from, `R` how a refusal reads. All services that it makes, and all clones of
/// these, share their state.
pub struct RateLimitLayer<T = Head, R = AsResponse> {
    limits: Arc<Limits<T>>,
    refuse: R,
}

impl RateLimitLayer {
    /// For HTTP: a refusal is a response, and the service's error type stays what it is.
    pub fn http(policy: Policy<Head>) -> RateLimitLayerBuilder<Head, AsResponse> {
        RateLimitLayerBuilder::starting_with(policy)
    }
}

impl<T: 'static> RateLimitLayer<T, AsError> {
    /// For any request: a refusal is an [`Error`](crate::Error).
    ///
    /// Not for tonic's *server*, which resets the stream on an error: use [`http`](RateLimitLayer::http)
    /// there, whose refusals gRPC callers understand.
    pub fn typed(policy: Policy<T>) -> RateLimitLayerBuilder<T, AsError> {
        RateLimitLayerBuilder::starting_with(policy)
    }
}

impl<S, T, R: Clone> Layer<S> for RateLimitLayer<T, R> {
    type Service = RateLimit<S, T, R>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::around(inner, Arc::clone(&self.limits), self.refuse.clone())
    }
}

impl<T, R: Clone> Clone for RateLimitLayer<T, R> {
    // Derived, it would ask for `T: Clone`, of which there is none in here.
    fn clone(&self) -> Self {
        Self {
            limits: Arc::clone(&self.limits),
            refuse: self.refuse.clone(),
        }
    }
}

impl<T: 'static, R> fmt::Debug for RateLimitLayer<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("limits", &self.limits.all())
            .finish_non_exhaustive()
    }
}

/// A [`RateLimitLayer`] in the making.
#[must_use = "call `build` to get the layer"]
pub struct RateLimitLayerBuilder<T, R> {
    policies: Vec<Policy<T>>,
    max_keys: usize,
    store: Option<Arc<dyn Store>>,
    clock: Option<AnyClock>,
    secret: Option<DigestKey>,
    observer: Option<Arc<dyn for<'a> Observer<Event<'a>>>>,
    style: FieldStyle,
    refuse: PhantomData<R>,
}

impl<T: 'static, R> RateLimitLayerBuilder<T, R> {
    fn starting_with(policy: Policy<T>) -> Self {
        Self {
            policies: vec![policy],
            max_keys: DEFAULT_MAX_KEYS,
            store: None,
            clock: None,
            secret: None,
            observer: None,
            style: FieldStyle::default(),
            refuse: PhantomData,
        }
    }

    /// Adds a further policy, of up to eight. A request is admitted if all of them admit it, and charged
    /// to all of them or to none.
    pub fn policy(mut self, policy: Policy<T>) -> Self {
        self.policies.push(policy);
        self
    }

    /// For how many keys at once each policy has room, in 32 bytes each; 100,000 if not given. Keys whose
    /// quota is full again need none.
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// Where states are kept; in memory if not given. A store of your own makes `max_keys` meaningless.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// The clock; [`TokioClock`](buttress_core::clock::TokioClock) if not given, which follows tokio's paused time.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(AnyClock::of(clock));
        self
    }

    /// The secret under which keys are hashed; a random one if not given.
    pub fn digest_key(mut self, secret: DigestKey) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Who hears of every decision.
    pub fn observer(mut self, observer: impl for<'a> Observer<Event<'a>>) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    fn limits(self) -> Result<Limits<T>, ConfigError> {
        let (store, max_keys) = (self.store, self.max_keys);
        let store = |policies| {
            Ok(match store {
                Some(store) => Backend::Other(store),
                None => Backend::Memory(MemoryStore::with_room_for(
                    policies,
                    checked_max_keys(max_keys)?,
                )),
            })
        };
        let clock = self.clock.unwrap_or_default();
        Limits::build(
            self.policies,
            store,
            clock,
            self.secret.unwrap_or_default(),
            self.observer,
        )
    }
}

impl RateLimitLayerBuilder<Head, AsResponse> {
    /// In which fields callers read how they stand, on admitted and refused requests alike;
    /// [`FieldStyle::Draft11`] if not given.
    pub fn fields(mut self, style: FieldStyle) -> Self {
        self.style = style;
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// Where a quota cannot be expressed, a policy's name cannot stand in a header field or is not
    /// unique, there is room for no key, or there are more than eight policies.
    pub fn build(self) -> Result<RateLimitLayer<Head, AsResponse>, ConfigError> {
        let style = self.style;
        let limits = self.limits()?;
        let refuse = AsResponse::build(style, limits.all())?;
        Ok(RateLimitLayer {
            limits: Arc::new(limits),
            refuse,
        })
    }
}

impl<T: 'static> RateLimitLayerBuilder<T, AsError> {
    /// The layer.
    ///
    /// # Errors
    ///
    /// Where a quota cannot be expressed, there is room for no key, or there are more than eight
    /// policies.
    pub fn build(self) -> Result<RateLimitLayer<T, AsError>, ConfigError> {
        Ok(RateLimitLayer {
            limits: Arc::new(self.limits()?),
            refuse: AsError,
        })
    }
}

impl<T, R> fmt::Debug for RateLimitLayerBuilder<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayerBuilder")
            .field("policies", &self.policies)
            .finish_non_exhaustive()
    }
}
