use std::{fmt, marker::PhantomData, sync::Arc};

use buttress_core::ConfigError;
use buttress_http::{FieldStyle, Head, LocalRefusal};

use super::RateLimitLayer;
use crate::{
    Access, AsError, AsResponse, Limit, Meter, Policy, Store,
    books::Backend,
    limits::Limits,
    policy::Read,
    refuse::Settlement,
    room::{DEFAULT_MAX_KEYS, checked_max_keys},
    store::MemoryStore,
    surroundings::{Surroundings, setters},
};

/// A [`RateLimitLayer`] in the making.
#[must_use = "call `build` to get the layer"]
pub struct RateLimitLayerBuilder<T: ?Sized, R> {
    policies: Vec<Policy<T>>,
    max_keys: usize,
    store: Option<Arc<dyn Store>>,
    surroundings: Surroundings,
    access: Option<Read<T, Access>>,
    permits: bool,
    style: FieldStyle,
    settlements: Vec<Settlement>,
    refunds_local_refusals: bool,
    refuse: PhantomData<R>,
}

impl<T: ?Sized + 'static, R> RateLimitLayerBuilder<T, R> {
    pub(super) fn starting_with(policy: Policy<T>) -> Self {
        Self {
            policies: vec![policy],
            max_keys: DEFAULT_MAX_KEYS,
            store: None,
            surroundings: Surroundings::default(),
            access: None,
            permits: false,
            style: FieldStyle::default(),
            settlements: Vec::new(),
            refunds_local_refusals: false,
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
    /// use http::{Method, header::ACCESS_CONTROL_REQUEST_METHOD};
    ///
    /// // Fetch standard, "CORS-preflight request": a browser asks whether it may ask.
    /// fn is_preflight(head: &Head) -> bool {
    ///     head.method() == Method::OPTIONS && head.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    /// }
    ///
    /// let layer = RateLimitLayer::http(Policy::new("per-ip", "10/s").key(ClientIp::peer()))
    ///     .access(|head: &Head| match head.uri().path() {
    ///         "/health" => Access::Allow,
    ///         _ if is_preflight(head) => Access::Allow,
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
    /// `16 × (words + 1)` bytes each, and [quotas by request](Policy::quota_by) `16 × (words + 5)`.
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// Where states are kept; in memory if not given. To a store of your own `max_keys` means nothing: it
    /// is the room for [near-limit signals](Self::near_limit) alone then.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    setters!(clock, timer, digest_key, observer, near_limit);

    fn limits(self) -> Result<Limits<T>, ConfigError> {
        let (store, max_keys) = (self.store, checked_max_keys(self.max_keys)?);
        let store = |limits: &[Arc<Limit>]| {
            Ok(match store {
                Some(store) => Backend::Other(store),
                None => Backend::Memory(MemoryStore::with_room_for(limits, max_keys)?),
            })
        };
        let (policies, access) = (self.policies, self.access);
        Limits::build(
            policies,
            access,
            self.permits,
            store,
            self.surroundings,
            max_keys,
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

    /// Gives back what a request was charged, to all policies, where a layer of ours further in refused it (the
    /// response carries a [`LocalRefusal`](buttress_http::LocalRefusal)): it was never sent.
    ///
    /// For the pace of a client. An open circuit inside it answers at once, and without this each such answer
    /// uses up a turn that a call could have had when the circuit closes. It goes before all other settlements of
    /// the layer. On a server think twice: a limit that is to hold off whoever asks too often has to
    /// charge for what the limits inside it refuse.
    ///
    /// Costs two allocations a request, as every settlement does.
    ///
    /// ```
    /// use std::{convert::Infallible, time::Duration};
    ///
    /// use buttress_http::{LocalRefusal, keys::Authority};
    /// use buttress_rate_limit::{Pacing, Policy, RateLimitLayer};
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pace = Policy::new("pace", "1/min").key(Authority).algorithm(Pacing::up_to(Duration::from_secs(5)));
    /// let client = ServiceBuilder::new()
    ///     .layer(RateLimitLayer::http(pace).refund_local_refusals().build()?)
    ///     // .layer(circuit_breaker)
    ///     .service(service_fn(|_: Request<String>| async {
    ///         let mut refusal = Response::new(String::new()); // as an open circuit answers
    ///         *refusal.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    ///         LocalRefusal::new(None).mark(&mut refusal);
    ///         Ok::<_, Infallible>(refusal)
    ///     }));
    /// for _ in 0..3 {
    ///     let call = Request::get("http://api.example/").body(String::new())?;
    ///     assert_eq!(client.clone().oneshot(call).await?.status(), 503); // and not 429
    /// }
    /// # Ok(()) }
    /// ```
    pub fn refund_local_refusals(mut self) -> Self {
        self.refunds_local_refusals = true;
        self
    }

    /// Settles the `policy` of this name at the end of the response's body, by a [`Meter`] that sees its
    /// frames: also when the client leaves before, or the body breaks off, by what was seen until then.
    ///
    /// `meter` makes one for each response, by its head; `None` leaves the charge as it is. What a handler has settled, or
    /// a [rule that reads the head](Self::settle_by_response), is settled.
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
    /// unique, a settlement names no policy, there is room for no key, there are more than eight policies, or
    /// one in [shadow mode](Policy::shadow) would have somebody wait.
    pub fn build(mut self) -> Result<RateLimitLayer<Head, AsResponse>, ConfigError> {
        let (style, refunds) = (self.style, self.refunds_local_refusals);
        let mut settlements = std::mem::take(&mut self.settlements);
        let limits = self.limits()?;
        if refunds {
            // The first settlement wins.
            let refunds = limits.all().iter().map(|limit| {
                Settlement::by_head(limit.name(), |parts| {
                    parts.extensions.get::<LocalRefusal>().map(|_| 0)
                })
            });
            settlements.splice(..0, refunds);
        }
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
    /// Where a quota cannot be expressed, a policy's name is not unique, there is room for no key, there are
    /// more than eight policies, or one in [shadow mode](Policy::shadow) would have somebody wait.
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
