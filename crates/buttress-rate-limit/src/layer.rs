use std::{fmt, marker::PhantomData, sync::Arc};

use buttress_core::{
    Clock, ConfigError, DigestKey, Observer, Sleep,
    clock::{AnyClock, TokioClock},
};
use buttress_http::{FieldStyle, Head};
use tower_layer::Layer;

use crate::{
    Access, AsError, AsResponse, Event, Limit, Meter, Policy, RateLimit, Store,
    books::Backend,
    limiter::{DEFAULT_MAX_KEYS, checked_max_keys},
    limits::{Limits, Surroundings},
    policy::Read,
    refuse::Settlement,
    signals::DEFAULT_THRESHOLDS,
    store::MemoryStore,
    watcher::Watcher,
};

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

    /// The limit of the policy of this name, which may be kept as a handle to it: to [change its
    /// quota](Limit::set_quota) while the layer is in use.
    #[must_use]
    pub fn limit(&self, policy: &str) -> Option<&Arc<Limit>> {
        self.limits().iter().find(|limit| limit.name() == policy)
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

/// A [`RateLimitLayer`] in the making.
#[must_use = "call `build` to get the layer"]
pub struct RateLimitLayerBuilder<T: ?Sized, R> {
    policies: Vec<Policy<T>>,
    max_keys: usize,
    store: Option<Arc<dyn Store>>,
    clock: Option<AnyClock>,
    timer: Option<Arc<dyn Sleep>>,
    secret: Option<DigestKey>,
    observer: Option<Arc<dyn for<'a> Observer<Event<'a>>>>,
    near_limit: Vec<u8>,
    access: Option<Read<T, Access>>,
    permits: bool,
    style: FieldStyle,
    settlements: Vec<Settlement>,
    refuse: PhantomData<R>,
}

impl<T: ?Sized + 'static, R> RateLimitLayerBuilder<T, R> {
    fn starting_with(policy: Policy<T>) -> Self {
        Self {
            policies: vec![policy],
            max_keys: DEFAULT_MAX_KEYS,
            store: None,
            clock: None,
            timer: None,
            secret: None,
            observer: None,
            near_limit: DEFAULT_THRESHOLDS.to_vec(),
            access: None,
            permits: false,
            style: FieldStyle::default(),
            settlements: Vec::new(),
            refuse: PhantomData,
        }
    }

    /// Adds a further policy, of up to eight. A request is admitted if all of them admit it, and charged
    /// to all of them or to none.
    pub fn policy(mut self, policy: Policy<T>) -> Self {
        self.policies.push(policy);
        self
    }

    /// Whether the limits apply to a request at all: allow lists, deny lists, and what is skipped, such as
    /// CORS preflights. Decided before any key is looked for.
    ///
    /// ```
    /// use buttress_http::{ClientIp, Head};
    /// use buttress_rate_limit::{Access, Policy, RateLimitLayer};
    ///
    /// let layer = RateLimitLayer::http(Policy::new("per-ip", "10/s").key(ClientIp::peer()))
    ///     .access(|head: &Head| match head.uri().path() {
    ///         "/health" => Access::Allow,
    ///         path if path.starts_with("/wp-admin") => Access::Deny,
    ///         _ => Access::Limit,
    ///     })
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<(), buttress_rate_limit::ConfigError>(())
    /// ```
    pub fn access(mut self, access: impl Fn(&T) -> Access + Send + Sync + 'static) -> Self {
        self.access = Some(Arc::new(access));
        self
    }

    /// Lets the inner services settle: every request that is admitted carries its
    /// [`Permit`](crate::Permit). Costs two allocations a request.
    ///
    /// HTTP requests carry it as an extension. Requests of a type of your own have it where their view
    /// [attaches](buttress_core::View::attach) it: a view of its own, since a type that is its own view has no room.
    ///
    /// ```
    /// use std::any::Any;
    ///
    /// use buttress_core::{View, key_from};
    /// use buttress_rate_limit::{Permit, Policy, RateLimitLayer};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// struct Job {
    ///     header: JobHeader,
    ///     permit: Option<Permit>,
    /// }
    ///
    /// struct JobHeader {
    ///     tenant: String,
    /// }
    ///
    /// impl View<Job> for JobHeader {
    ///     fn of(job: &Job) -> &Self {
    ///         &job.header
    ///     }
    ///
    ///     fn attach<X: Clone + Send + Sync + 'static>(job: &mut Job, value: X) {
    ///         job.permit = (&value as &dyn Any).downcast_ref::<Permit>().cloned();
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rows = Policy::<JobHeader>::new("rows", "1000/min")
    ///     .key(key_from(|job: &JobHeader| Some(job.tenant.clone())))
    ///     .cost(|_| 100);
    /// let service = ServiceBuilder::new()
    ///     .layer(RateLimitLayer::typed(rows).permits().build()?)
    ///     .service_fn(|job: Job| async move {
    ///         let rows = 7; // this is what it turned out to be
    ///         Ok::<_, std::io::Error>(job.permit.is_some_and(|permit| permit.settle(rows)))
    ///     });
    /// let job = Job { header: JobHeader { tenant: "acme".to_owned() }, permit: None };
    /// assert!(service.oneshot(job).await?);
    /// # Ok(()) }
    /// ```
    pub fn permits(mut self) -> Self {
        self.permits = true;
        self
    }

    /// For how many keys at once each policy has room, in 32 bytes each; 100,000 if not given. Keys whose
    /// quota is full again need none. An algorithm whose states are of more than one word makes that
    /// `16 × (words + 1)` bytes each.
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

    /// The timer of requests that wait for their turn; tokio's if not given.
    pub fn timer(mut self, timer: impl Sleep) -> Self {
        self.timer = Some(Arc::new(timer));
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

    /// At which percentages of its quota a key is [near its limit](Event::NearLimit), of which the observer
    /// is told; 50, 70 and 90 if not given, and none if given none.
    pub fn near_limit(mut self, percent: impl IntoIterator<Item = u8>) -> Self {
        self.near_limit = percent.into_iter().collect();
        self
    }

    fn limits(self) -> Result<Limits<T>, ConfigError> {
        let (store, max_keys) = (self.store, self.max_keys);
        let watcher = Watcher::build(self.observer, &self.near_limit, checked_max_keys(max_keys)?)?;
        let store = |limits: &[Arc<Limit>]| {
            Ok(match store {
                Some(store) => Backend::Other(store),
                None => Backend::Memory(MemoryStore::with_room_for(limits, max_keys)?),
            })
        };
        let surroundings = Surroundings {
            clock: self.clock.unwrap_or_default(),
            timer: self
                .timer
                .unwrap_or_else(|| Arc::new(TokioClock::starting_now())),
            secret: self.secret.unwrap_or_default(),
        };
        Limits::build(
            self.policies,
            self.access,
            self.permits,
            store,
            surroundings,
            watcher,
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

    /// Settles the `policy` of this name by the response: `rule` reads its head, and returns what the
    /// request truly cost, or `None` to leave it as it was charged.
    ///
    /// Failed logins are limited so: reserve first, and give back what succeeded. Guesses that are made at
    /// the same time do not slip through together.
    ///
    /// ```
    /// use buttress_http::{ClientIp, Head};
    /// use buttress_rate_limit::{Policy, RateLimitLayer};
    ///
    /// let failed_logins = Policy::new("failed-logins", "5/15min").key(ClientIp::peer());
    /// let layer = RateLimitLayer::http(failed_logins)
    ///     .settle_by_response("failed-logins", |response| response.status.is_success().then_some(0))
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<(), buttress_rate_limit::ConfigError>(())
    /// ```
    pub fn settle_by_response(
        mut self,
        policy: &str,
        rule: impl Fn(&http::response::Parts) -> Option<u64> + Send + Sync + 'static,
    ) -> Self {
        self.settlements.push(Settlement::by_head(policy, rule));
        self
    }

    /// Settles the `policy` of this name at the end of the response's body, by a [`Meter`] that sees its
    /// frames: also when the client leaves before, or the body breaks off, by what was seen until then.
    ///
    /// `meter` makes one for each response, by its head; `None` leaves the charge as it is.
    ///
    /// ```
    /// use buttress_http::{ClientIp, Head};
    /// use buttress_rate_limit::{CountBytes, Policy, RateLimitLayer};
    ///
    /// // Ten megabytes a minute. A request is admitted while a kilobyte is left, and then charged for what
    /// // it really sent.
    /// let bytes = Policy::new("bytes", "10_000_000/min").key(ClientIp::peer()).cost(|_| 1_000);
    /// let layer = RateLimitLayer::http(bytes)
    ///     .settle_by_body("bytes", |_| Some(CountBytes::default()))
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<(), buttress_rate_limit::ConfigError>(())
    /// ```
    pub fn settle_by_body<M: Meter>(
        mut self,
        policy: &str,
        meter: impl Fn(&http::response::Parts) -> Option<M> + Send + Sync + 'static,
    ) -> Self {
        self.settlements.push(Settlement::by_body(policy, meter));
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// Where a quota cannot be expressed, a policy's name cannot stand in a header field or is not
    /// unique, a settlement names no policy, there is room for no key, or there are more than eight
    /// policies.
    pub fn build(mut self) -> Result<RateLimitLayer<Head, AsResponse>, ConfigError> {
        let style = self.style;
        let settlements = std::mem::take(&mut self.settlements);
        let limits = self.limits()?;
        let refuse = AsResponse::build(style, limits.all(), settlements)?;
        Ok(RateLimitLayer {
            limits: Arc::new(limits),
            refuse,
        })
    }
}

impl<T: ?Sized + 'static> RateLimitLayerBuilder<T, AsError> {
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

impl<T: ?Sized, R> fmt::Debug for RateLimitLayerBuilder<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayerBuilder")
            .field("policies", &self.policies)
            .finish_non_exhaustive()
    }
}
