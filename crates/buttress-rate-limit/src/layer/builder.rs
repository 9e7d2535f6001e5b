mod http;
mod typed;

use std::{fmt, sync::Arc};

use buttress_core::ConfigError;

use crate::{
    Access, Limit, Policy, Store,
    books::Backend,
    limits::Limits,
    policy::Read,
    refuse::Drafted,
    room::{DEFAULT_MAX_KEYS, checked_max_keys},
    store::MemoryStore,
    surroundings::{Surroundings, setters},
};

/// A [`RateLimitLayer`](crate::RateLimitLayer) in the making.
#[must_use = "call `build` to get the layer"]
pub struct RateLimitLayerBuilder<T: ?Sized, R: Drafted> {
    policies: Vec<Policy<T>>,
    max_keys: usize,
    store: Option<Arc<dyn Store>>,
    surroundings: Surroundings,
    access: Option<Read<T, Access>>,
    permits: bool,
    /// What belongs to how a refusal reads.
    draft: R::Draft,
}

impl<T: ?Sized + 'static, R: Drafted> RateLimitLayerBuilder<T, R> {
    pub(super) fn starting_with(policy: Policy<T>) -> Self {
        Self {
            policies: vec![policy],
            max_keys: DEFAULT_MAX_KEYS,
            store: None,
            surroundings: Surroundings::default(),
            access: None,
            permits: false,
            draft: R::Draft::default(),
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
    /// `16 × (words + 1)` bytes each, a [`SlidingWindow`](crate::SlidingWindow) or a [`SlidingLog`](crate::SlidingLog)
    /// `16 × (words + 2)`, and [quotas by request](Policy::quota_by) `16 × (words + 5)`.
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

    /// The same, but for how a refusal reads.
    fn with_draft<Q: Drafted>(self, draft: Q::Draft) -> RateLimitLayerBuilder<T, Q> {
        let Self {
            policies,
            max_keys,
            store,
            surroundings,
            access,
            permits,
            draft: _,
        } = self;
        RateLimitLayerBuilder {
            policies,
            max_keys,
            store,
            surroundings,
            access,
            permits,
            draft,
        }
    }

    /// The limits, and what is left.
    fn limits(self) -> Result<(Limits<T>, R::Draft), ConfigError> {
        let (store, max_keys) = (self.store, checked_max_keys(self.max_keys)?);
        let store = |limits: &[Arc<Limit>]| {
            Ok(match store {
                Some(store) => Backend::Other(store),
                None => Backend::Memory(MemoryStore::with_room_for(limits, max_keys)?),
            })
        };
        let (policies, access) = (self.policies, self.access);
        let limits = Limits::build(
            policies,
            access,
            self.permits,
            store,
            self.surroundings,
            max_keys,
        )?;
        Ok((limits, self.draft))
    }
}

impl<T: ?Sized, R: Drafted> fmt::Debug for RateLimitLayerBuilder<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayerBuilder")
            .field("policies", &self.policies)
            .finish_non_exhaustive()
    }
}
