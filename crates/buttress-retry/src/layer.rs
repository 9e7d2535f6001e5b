use std::{fmt, sync::Arc, time::Duration};

use buttress_core::{ConfigError, DigestKey, ExtractKey, clock::WallClock};
use buttress_http::{BodyHints, GrpcCode, Head};
use http::{HeaderMap, StatusCode};
use tower_layer::Layer;

use crate::{
    ClassifyError, Http, Judgment, KeyForm, Retry, RetryBuilder, Typed,
    flavor::{Codes, DiscardLimits, Options, Trailers},
    shared::Shared,
};

/// Sends requests again, see the [crate's front page](crate).
///
/// `F` says how requests are sent again, and how answers are understood. All services that it makes, and all clones of
/// these, share their budget, their parks and their source of jitter.
pub struct RetryLayer<F = Http> {
    shared: Arc<Shared<F>>,
}

impl RetryLayer {
    /// For HTTP, and for gRPC calls that come along: see [`Http`].
    pub fn http() -> RetryBuilder<LayerFor<Http>> {
        RetryBuilder::starting_with(LayerFor::with(Http::with(Options::default())))
    }

    /// For gRPC alone: calls are repeated after these codes. They are your word that it does no harm, as the
    /// `retryableStatusCodes` of gRPC's own policies are; nothing in a call would tell.
    ///
    /// ```
    /// use buttress_http::GrpcCode;
    /// use buttress_retry::RetryLayer;
    ///
    /// let layer = RetryLayer::grpc([GrpcCode::Unavailable, GrpcCode::ResourceExhausted]).build()?;
    /// # let _ = layer;
    /// # Ok::<(), buttress_retry::ConfigError>(())
    /// ```
    pub fn grpc(codes: impl IntoIterator<Item = GrpcCode>) -> RetryBuilder<LayerFor<Http>> {
        let options = Options {
            codes: Codes::of(codes),
            grpc_only: true,
            ..Options::default()
        };
        RetryBuilder::starting_with(LayerFor::with(Http::with(options)))
    }

    /// For any request that is `Clone`: a closure says what a result means. It is your word that a request may be
    /// repeated after what it calls transient.
    ///
    /// ```
    /// use buttress_retry::{Judgment, RetryLayer};
    /// use tower::{Layer as _, ServiceExt as _, service_fn};
    /// # use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let layer = RetryLayer::typed(|result: Result<&u32, &&str>| match result {
    ///     Ok(_) => Judgment::Success,
    ///     Err(&"busy") => Judgment::TRANSIENT,
    ///     Err(_) => Judgment::NotRetryable,
    /// })
    /// .build()?;
    /// let calls = AtomicU32::new(0);
    /// let service = layer.layer(service_fn(|request: u32| {
    ///     let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
    ///     async move { if first { Err("busy") } else { Ok(request + 1) } }
    /// }));
    /// assert_eq!(service.oneshot(1).await, Ok(2));
    /// # Ok(()) }
    /// ```
    pub fn typed<Rsp, E>(
        classifier: impl Fn(Result<&Rsp, &E>) -> Judgment + Send + Sync + 'static,
    ) -> RetryBuilder<LayerFor<Typed<Rsp, E>>> {
        RetryBuilder::starting_with(LayerFor::with(Typed::by(classifier)))
    }
}

impl<F> RetryLayer<F> {
    /// Lets everybody call every upstream again, whatever it asked for. Who waits for it goes on at once.
    pub fn unpark_all(&self) {
        if let Some(parks) = &self.shared.settings.parks {
            parks.clear_all();
        }
    }
}

impl<P, C> RetryLayer<Http<P, C>> {
    /// For how long the upstream that a request is for is parked.
    #[must_use]
    pub fn parked(&self, head: &Head) -> Option<Duration> {
        let Shared { settings, flavor } = &*self.shared;
        settings.parked(|| flavor.options().key_of(head))
    }

    /// Lets everybody call the upstream again that a request is for. Who waits for it goes on at once.
    pub fn unpark(&self, head: &Head) {
        let Shared { settings, flavor } = &*self.shared;
        settings.unpark(|| flavor.options().key_of(head));
    }
}

impl<Rsp, E, P, K> RetryLayer<Typed<Rsp, E, P, K>> {
    /// For how long the upstream that a request is for is parked.
    #[must_use]
    pub fn parked<Req>(&self, request: &Req) -> Option<Duration>
    where
        K: ExtractKey<Req>,
    {
        let Shared { settings, flavor } = &*self.shared;
        settings.parked(|| flavor.park_key(request))
    }

    /// Lets everybody call the upstream again that a request is for. Who waits for it goes on at once.
    pub fn unpark<Req>(&self, request: &Req)
    where
        K: ExtractKey<Req>,
    {
        let Shared { settings, flavor } = &*self.shared;
        settings.unpark(|| flavor.park_key(request));
    }
}

impl<S, F> Layer<S> for RetryLayer<F> {
    type Service = Retry<S, F>;

    fn layer(&self, inner: S) -> Retry<S, F> {
        Retry::around(inner, Arc::clone(&self.shared))
    }
}

impl<F> Clone for RetryLayer<F> {
    // Derived, it would ask for `F: Clone`, which is shared.
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<F> fmt::Debug for RetryLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("shared", &self.shared)
            .finish()
    }
}

/// A [`RetryLayer`] is made.
#[derive(Debug)]
pub struct LayerFor<F> {
    flavor: F,
}

impl<F> LayerFor<F> {
    fn with(flavor: F) -> Self {
        Self { flavor }
    }

    fn map<G>(self, other: impl FnOnce(F) -> G) -> LayerFor<G> {
        LayerFor {
            flavor: other(self.flavor),
        }
    }
}

impl<Rsp, E, P, K> RetryBuilder<LayerFor<Typed<Rsp, E, P, K>>> {
    /// What keeps requests to send them again; [`Cloned`](crate::Cloned) if not given.
    pub fn replay<Q>(self, replay: Q) -> RetryBuilder<LayerFor<Typed<Rsp, E, Q, K>>> {
        self.map(|made| made.map(|flavor| flavor.replay(replay)))
    }

    /// Whom a "too many" is about, as a request tells it; one upstream for all if not given. It is asked about every
    /// request. Those without a key share one.
    pub fn park_by<L>(self, key: L) -> RetryBuilder<LayerFor<Typed<Rsp, E, P, L>>> {
        self.map(|made| made.map(|flavor| flavor.park_by(key)))
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// As of [`RetryPolicy`](crate::RetryBuilder::build).
    pub fn build(self) -> Result<RetryLayer<Typed<Rsp, E, P, K>>, ConfigError> {
        let (settings, LayerFor { flavor }) = self.parts()?;
        Ok(RetryLayer {
            shared: Arc::new(Shared { settings, flavor }),
        })
    }
}

impl<P, C> RetryBuilder<LayerFor<Http<P, C>>> {
    /// What an answer means, where `closure` knows better than the [usual](Http): there it returns `Some`. Not asked
    /// about refusals that were made on this side.
    ///
    /// ```
    /// use buttress_retry::{Judgment, RetryLayer};
    ///
    /// let layer = RetryLayer::http()
    ///     .classify(|status, _headers| match status.as_u16() {
    ///         409 => Some(Judgment::TRANSIENT), // this upstream says so while it is locked
    ///         _ => None,
    ///     })
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<(), buttress_retry::ConfigError>(())
    /// ```
    pub fn classify(
        mut self,
        closure: impl Fn(StatusCode, &HeaderMap) -> Option<Judgment> + Send + Sync + 'static,
    ) -> Self {
        self.options().classifier = Some(Arc::new(closure));
        self
    }

    /// What the service's errors mean: a closure over `&E`, or another [`ClassifyError`], such as `HyperErrors` with the
    /// feature `hyper`. [`Judgment::TRANSIENT`] if not given.
    pub fn classify_errors<D>(self, errors: D) -> RetryBuilder<LayerFor<Http<P, D>>> {
        self.map(|made| made.map(|flavor| flavor.errors(errors)))
    }

    /// As [`classify_errors`](Self::classify_errors), for a closure whose parameter the compiler cannot infer.
    pub fn classify_error<E, D>(self, closure: D) -> RetryBuilder<LayerFor<Http<P, D>>>
    where
        D: Fn(&E) -> Judgment + ClassifyError<E>,
    {
        self.classify_errors(closure)
    }

    /// What keeps bodies to send them again; [`Buffered`](crate::Buffered) up to 64 KiB if not given.
    ///
    /// With [`Cloned`](crate::Cloned) the service inside takes the same request type as the layer.
    pub fn replay<Q>(self, replay: Q) -> RetryBuilder<LayerFor<Http<Q, C>>> {
        self.map(|made| made.map(|flavor| flavor.replay(replay)))
    }

    /// Which requests may be repeated, whatever their method says: your word that it does no harm.
    pub fn repeatable(mut self, closure: impl Fn(&Head) -> bool + Send + Sync + 'static) -> Self {
        self.options().repeatable = Some(Arc::new(closure));
        self
    }

    /// Whether requests of any method may be repeated that were refused as one too many: your word that this upstream
    /// does nothing for a request that it answers with 429. False if not given, for no standard promises that.
    pub fn repeat_throttled(mut self, repeat: bool) -> Self {
        self.options().repeat_throttled = repeat;
        self
    }

    /// Adds an `Idempotency-Key` to requests that need one to be repeated and have none: one for each request, the same
    /// on all of its attempts. It is your word that the upstream knows it: one that does not may do a request twice.
    /// CONNECT and calls of gRPC get none.
    pub fn idempotency_keys(mut self, form: KeyForm) -> Self {
        self.options().idempotency_key = Some(form);
        self
    }

    /// Whom a "too many" is about; [`UpstreamAndCredential`](crate::UpstreamAndCredential) if not given. Requests
    /// without a key share one.
    pub fn park_by(mut self, key: impl ExtractKey<Head>) -> Self {
        self.options().park_by = Arc::new(key);
        self
    }

    /// The secret under which keys of parks are hashed, and an `Idempotency-Key` is made; a random one if not given.
    pub fn digest_key(mut self, secret: DigestKey) -> Self {
        self.options().secret = secret;
        self
    }

    /// What the bodies of refusals mean; the vendors' table if not given. At most 4 KiB of a body are read, where the
    /// head is silent, and for at most so long; 1 s if not given.
    pub fn body_hints(mut self, hints: BodyHints, within: Duration) -> Self {
        let options = self.options();
        options.hints = hints;
        options.look_within = within;
        self
    }

    /// Withholds gRPC responses until their status is there, so that one that comes in trailers is seen: for the calls
    /// for which `unary` is true, up to so many bytes and for so long. What is longer is handed on as it is.
    ///
    /// Only for calls with one answer. Of others the caller would wait for what the server sends only after the next
    /// message of the caller.
    pub fn await_trailers(
        mut self,
        max_bytes: usize,
        within: Duration,
        unary: impl Fn(&Head) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.options().trailers = Some(Trailers {
            max_bytes,
            within,
            which: Arc::new(unary),
        });
        self
    }

    /// How much of a rejected response is read, and for how long, so that its connection can be used again; 16 KiB and
    /// 50 ms if not given. What is longer is dropped, before anything is waited for. With 0 bytes all are.
    pub fn drain(mut self, bytes: usize, within: Duration) -> Self {
        self.options().discard = DiscardLimits { bytes, within };
        self
    }

    /// What dates on the wire are reckoned on; the system's clock if not given.
    pub fn wall_clock(mut self, clock: impl WallClock) -> Self {
        self.options().wall_clock = Arc::new(clock);
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// As of [`RetryPolicy`](crate::RetryBuilder::build), where there are more than 1,048,576 parks, a time to look into a
    /// body, to drain it or to await trailers cannot work, and where there is no code of gRPC to repeat calls after, or
    /// `OK` is one.
    pub fn build(self) -> Result<RetryLayer<Http<P, C>>, ConfigError> {
        let codes = self.made.flavor.options().codes;
        if codes.is_empty() || codes.has(GrpcCode::Ok) {
            let given = format!("{codes:?}");
            return Err(ConfigError::new("codes", given, "at least one, and not OK"));
        }
        self.made.flavor.options().check()?;
        let (settings, LayerFor { flavor }) = self.parts()?;
        Ok(RetryLayer {
            shared: Arc::new(Shared { settings, flavor }),
        })
    }

    fn options(&mut self) -> &mut Options {
        self.made.flavor.options_mut()
    }
}
