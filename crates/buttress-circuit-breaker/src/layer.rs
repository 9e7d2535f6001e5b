use std::{fmt, sync::Arc};

use buttress_core::{Classify, ConfigError, DigestKey, ExtractKey, clock::WallClock};
use buttress_http::Head;
use bytes::Bytes;
use http::{Response, response::Parts};
use tower_layer::Layer;

use crate::{
    CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerService, CircuitBreakers, Outcome, PerKey,
    Refused, Trip,
    flavor::{ByResult, Http, OrCall, Typed},
    shared::Shared,
};

/// Guards a service, see the [crate's front page](crate).
///
/// `T` is what is read of a request, `F` how answers are understood and how a refusal reads. All services
/// that it makes, and all clones of these, share their circuits.
pub struct CircuitBreakerLayer<T: ?Sized = Head, F = Http> {
    shared: Arc<Shared>,
    key: Option<Arc<dyn ExtractKey<T>>>,
    flavor: F,
}

impl CircuitBreakerLayer {
    /// For HTTP and gRPC: answers are understood by status, trailers and the end of their body; a refusal
    /// is a response, and the service's error type stays what it is. See [`Http`].
    pub fn http(trip: impl Into<Trip>) -> CircuitBreakerBuilder<LayerFor<Head, Http>> {
        CircuitBreakerBuilder::starting_with(trip.into(), LayerFor::with(Http::default()))
    }

    /// For any request, of type `T`: an error is a failure, until a
    /// [classifier](CircuitBreakerBuilder::classify_with) says otherwise; a refusal is an
    /// [`Error`](crate::Error).
    ///
    /// Not for tonic's *server*, which resets the stream on an error: use
    /// [`http`](CircuitBreakerLayer::http) there, whose refusals gRPC callers understand.
    ///
    /// ```
    /// use buttress_circuit_breaker::{CircuitBreakerLayer, Error, Trip};
    /// use tower::{Layer as _, ServiceExt as _, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let layer = CircuitBreakerLayer::typed::<u32>(Trip::consecutive_failures(1)).build()?;
    /// let service = layer.layer(service_fn(|_: u32| async { Err::<(), _>("down") }));
    /// assert_eq!(service.clone().oneshot(1).await, Err(Error::Inner("down")));
    /// assert!(matches!(service.oneshot(1).await, Err(Error::Refused(_))));
    /// # Ok(()) }
    /// ```
    pub fn typed<T: ?Sized>(trip: impl Into<Trip>) -> CircuitBreakerBuilder<LayerFor<T, Typed>> {
        CircuitBreakerBuilder::starting_with(trip.into(), LayerFor::with(Typed::by(ByResult)))
    }
}

impl<T: ?Sized, F> CircuitBreakerLayer<T, F> {
    /// The circuit of the requests without a [key](CircuitBreakerBuilder::key), as a handle: to look at it,
    /// and to turn its switch by hand.
    #[must_use]
    pub fn breaker(&self) -> CircuitBreaker {
        CircuitBreaker::with(Arc::clone(&self.shared))
    }

    /// The circuits of the requests with a [key](CircuitBreakerBuilder::key), as a handle. Keys are those that
    /// the layer's extractor writes: for
    /// [`Authority`](buttress_http::keys::Authority) a text in lower case.
    #[must_use]
    pub fn breakers(&self) -> CircuitBreakers {
        CircuitBreakers::with(Arc::clone(&self.shared))
    }
}

impl<S, T: ?Sized, F: Clone> Layer<S> for CircuitBreakerLayer<T, F> {
    type Service = CircuitBreakerService<S, T, F>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreakerService::around(
            inner,
            Arc::clone(&self.shared),
            self.key.clone(),
            self.flavor.clone(),
        )
    }
}

impl<T: ?Sized, F: Clone> Clone for CircuitBreakerLayer<T, F> {
    // Derived, it would ask for `T: Clone`, of which there is none in here.
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            key: self.key.clone(),
            flavor: self.flavor.clone(),
        }
    }
}

impl<T: ?Sized, F> fmt::Debug for CircuitBreakerLayer<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerLayer")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// A [`CircuitBreakerLayer`] is made.
pub struct LayerFor<T: ?Sized, F> {
    flavor: F,
    key: Option<Arc<dyn ExtractKey<T>>>,
    room: PerKey,
}

impl<T: ?Sized, F> LayerFor<T, F> {
    fn with(flavor: F) -> Self {
        Self {
            flavor,
            key: None,
            room: PerKey::default(),
        }
    }

    fn map<G>(self, other: impl FnOnce(F) -> G) -> LayerFor<T, G> {
        LayerFor {
            flavor: other(self.flavor),
            key: self.key,
            room: self.room,
        }
    }
}

impl<T: ?Sized, F> CircuitBreakerBuilder<LayerFor<T, F>> {
    /// Calls `service` in place of what is refused. It is made ready for each such call.
    ///
    /// Of several fallbacks, be they services or [responses](CircuitBreakerBuilder::fallback), the one that was given last
    /// answers.
    pub fn fallback_service<S>(
        self,
        service: S,
    ) -> CircuitBreakerBuilder<LayerFor<T, OrCall<F, S>>> {
        self.map(|made| made.map(|flavor| OrCall::or(flavor, service)))
    }

    /// Gives each key a circuit of its own: [`Authority`](buttress_http::keys::Authority) for one circuit for each
    /// upstream, another of these [`keys`](buttress_http::keys), or an extractor of yours. Requests that have no
    /// key share one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use buttress_circuit_breaker::{CircuitBreakerLayer, Trip};
    /// use buttress_http::keys::Authority;
    ///
    /// let layer = CircuitBreakerLayer::http(Trip::over_time(Duration::from_secs(10)))
    ///     .key(Authority)
    ///     .max_keys(1_000)
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<(), buttress_circuit_breaker::ConfigError>(())
    /// ```
    pub fn key(mut self, key: impl ExtractKey<T>) -> Self {
        self.made.key = Some(Arc::new(key));
        self
    }

    /// For how many keys there is room; 1,000 if not given. What happens at the bound says
    /// [`CircuitBreakers`](CircuitBreakerBuilder#method.max_keys).
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.made.room.set_max_keys(max_keys);
        self
    }

    /// The secret under which keys are hashed; a random one if not given.
    pub fn digest_key(mut self, secret: DigestKey) -> Self {
        self.made.room.set_secret(secret);
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// As of [`CircuitBreaker`](CircuitBreakerBuilder#method.build), and where there is room for no key, or where
    /// something is said of keys without a [`key`](Self::key).
    pub fn build(self) -> Result<CircuitBreakerLayer<T, F>, ConfigError> {
        let (settings, made) = self.parts()?;
        let keyed = match made.key {
            Some(_) => Some(made.room.keyed()?),
            None => made.room.unused().map(|()| None)?,
        };
        Ok(CircuitBreakerLayer {
            shared: Shared::of(settings, keyed),
            key: made.key,
            flavor: made.flavor,
        })
    }
}

impl CircuitBreakerBuilder<LayerFor<Head, Http>> {
    /// What an answer means, where `closure` knows better than the status tells; where it returns `None`
    /// the [usual](Http) holds. Not asked about refusals that were made on this side.
    ///
    /// ```
    /// use std::time::Duration;
    /// use buttress_circuit_breaker::{CircuitBreakerLayer, Outcome, Trip};
    ///
    /// let layer = CircuitBreakerLayer::http(Trip::over_time(Duration::from_secs(10)))
    ///     .classify(|response| match response.status.as_u16() {
    ///         501 => Some(Outcome::Failure), // this upstream answers so while it is being deployed
    ///         _ => None,
    ///     })
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<(), buttress_circuit_breaker::ConfigError>(())
    /// ```
    pub fn classify(
        mut self,
        closure: impl Fn(&Parts) -> Option<Outcome> + Send + Sync + 'static,
    ) -> Self {
        self.made.flavor.set_classifier(Arc::new(closure));
        self
    }

    /// Whether a call is over at the end of its response's body, so that a body that breaks off is a
    /// failure; true if not given. Otherwise it is over at the headers; gRPC's is over at its status all
    /// the same.
    ///
    /// A body that still goes on counts for nothing yet, while a failure counts at its headers. Where answers stream for
    /// longer than the rule looks back, as a language model's do, that leaves the failures alone in the window, or in a
    /// row: switch it off there.
    pub fn watch_bodies(mut self, watch: bool) -> Self {
        self.made.flavor.set_watching(watch);
        self
    }

    /// The clock for dates on the wire, such as those of `Retry-After`, where a response has no `Date`; the system's
    /// if not given.
    pub fn wall_clock(mut self, clock: impl WallClock) -> Self {
        self.made.flavor.set_wall_clock(clock);
        self
    }

    /// The response in place of a refusal. It is marked as [`LocalRefusal`](buttress_http::LocalRefusal)
    /// all the same: no cache keeps it. Retries around it hand a 2xx on, and wait before all else as
    /// before any refusal.
    ///
    /// Of several fallbacks, be they responses or [services](CircuitBreakerBuilder::fallback_service), the one that was given
    /// last answers.
    pub fn fallback(
        mut self,
        closure: impl Fn(&Head, &Refused) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.made.flavor.set_fallback(Arc::new(closure));
        self
    }
}

impl<T: ?Sized, C> CircuitBreakerBuilder<LayerFor<T, Typed<C>>> {
    /// What a result means: a closure `Fn(Result<&Response, &Error>) -> Outcome`, or another
    /// [`Classify`]. [`Outcome::Pending`] says nothing.
    pub fn classify_with<D>(self, classifier: D) -> CircuitBreakerBuilder<LayerFor<T, Typed<D>>> {
        self.map(|made| made.map(|_| Typed::by(classifier)))
    }

    /// As [`classify_with`](Self::classify_with), for a closure whose parameters the compiler cannot
    /// infer.
    pub fn classify_result<Rsp, E, D>(
        self,
        closure: D,
    ) -> CircuitBreakerBuilder<LayerFor<T, Typed<D>>>
    where
        D: Fn(Result<&Rsp, &E>) -> Outcome + Classify<Rsp, E>,
    {
        self.classify_with(closure)
    }
}

impl<T: ?Sized, F> fmt::Debug for LayerFor<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerFor").finish_non_exhaustive()
    }
}
