use std::{any::Any, fmt, future::Future, sync::Arc};

use buttress_core::{ConfigError, ExtractKey, clock::AnyClock};
use buttress_http::Head;

use crate::{Algorithm, IntoQuota, Limit, Overflow, Quota, algorithm::Kind, lookup::LookUp};

/// One limit of a layer: a name, a quota, and whose quota it is.
///
/// `T` is what keys are read from: [`Head`] for HTTP, the request itself for other protocols.
///
/// ```
/// use buttress_http::ClientIp;
/// use buttress_rate_limit::{Policy, Quota, RateLimitLayer};
///
/// let layer = RateLimitLayer::http(
///     Policy::new("per-ip", Quota::per_minute(100).burst(20)).key(ClientIp::peer()),
/// )
/// .build()?;
/// # let _ = layer;
/// # Ok::<(), buttress_rate_limit::ConfigError>(())
/// ```
#[must_use = "a policy does nothing until a layer is built with it"]
pub struct Policy<T: ?Sized = Head> {
    name: Arc<str>,
    quota: Result<Quota, ConfigError>,
    whose: Whose<T>,
    kind: Kind,
    overflow: Overflow,
    shadow: bool,
}

/// What happens to a request that has no key for a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnMissingKey {
    /// It is refused: 400, or INVALID_ARGUMENT in gRPC.
    #[default]
    Refuse,
    /// All such requests share one quota.
    Share,
    /// The policy does not apply to it.
    Exempt,
}

impl<T: ?Sized> Policy<T> {
    /// A policy with one quota for all requests, until it is given a [`key`](Self::key).
    ///
    /// The `name` is what callers read in the `RateLimit` fields and problem reports, and observers in
    /// events; no other policy of the layer may have it.
    pub fn new(name: &str, quota: impl IntoQuota) -> Self {
        Self {
            name: name.into(),
            quota: quota.into_quota(),
            whose: Whose {
                key: None,
                missing_key: OnMissingKey::default(),
                cost: None,
                quota: None,
                lookup: None,
            },
            kind: Kind::default(),
            overflow: Overflow::default(),
            shadow: false,
        }
    }

    /// Gives each key a quota of its own.
    pub fn key(mut self, key: impl ExtractKey<T>) -> Self {
        self.whose.key = Some(Arc::new(key));
        self
    }

    /// What happens to a request without a key; [`OnMissingKey::Refuse`] if not given.
    pub fn missing_key(mut self, missing_key: OnMissingKey) -> Self {
        self.whose.missing_key = missing_key;
        self
    }

    /// What a request costs; 1 if not given. A cost of 0 is always admitted; one above the burst never
    /// can be, which the refusal says.
    ///
    /// It is a function of the request alone, and may be asked more than once for it.
    ///
    /// Where the true cost is known only afterwards, this is the estimate that is
    /// [settled](crate::Permit::settle) then.
    pub fn cost(mut self, cost: impl Fn(&T) -> u64 + Send + Sync + 'static) -> Self {
        self.whose.cost = Some(Arc::new(cost));
        self
    }

    /// Whose quota is another one: by tier, by contract, by a row of a table that is kept in memory.
    /// `None` leaves it at the policy's own. So does a quota that the policy's algorithm does not
    /// [support](Algorithm::supports), which the observer is told of
    /// ([`Event::UnsupportedQuota`](crate::Event::UnsupportedQuota)).
    ///
    /// A key that comes to another quota, because its tier has changed, keeps what it has used, in proportion: who
    /// has used up ten an hour has used up a hundred a minute, and gets the first of them back after 600 ms. Nobody
    /// gains by going to and fro, and nobody is locked out: all the quotas of a key together give one burst, of
    /// which each request takes its share of the burst that it came under, and what was used comes back at
    /// the pace of the quota that the key was last asked for under. So requests of different quotas may share a
    /// key, as an address does from which both guests and members come; where one kind of request is to have a
    /// pace that the other cannot speed up, give each a policy or a key of its own. (Between quotas of one period,
    /// [`SlidingLog`](crate::SlidingLog) counts the requests themselves and not their share; between different
    /// periods, it and [`FixedWindow`](crate::FixedWindow) round what was used up to whole requests.)
    ///
    /// A policy with quotas by request remembers for each key which one it was: its states are four words
    /// longer than the algorithm's, 96 bytes a key with most, and stand behind the locks of longer states, see
    /// [`MemoryStore`](crate::store::MemoryStore).
    pub fn quota_by(mut self, quota: impl Fn(&T) -> Option<Quota> + Send + Sync + 'static) -> Self {
        self.whose.quota = Some(Arc::new(quota));
        self.whose.lookup = None;
        self
    }

    /// How the quota is spent and comes back; [`Gcra`](crate::Gcra) if not given.
    pub fn algorithm(mut self, algorithm: impl Algorithm) -> Self {
        self.kind = Kind::of(algorithm);
        self
    }

    /// What happens to keys for which the store has no room; [`Overflow::Share`] if not given.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Like [`quota_by`](Self::quota_by), for a quota that has to be looked up: in a database, at another
    /// service. `lookup` takes what it needs out of the request, and returns a future of the quota.
    ///
    /// Such a request costs one allocation, the box in which the future lies. Of several policies whose quotas are
    /// looked up each costs that, and is looked up after the one before. Nothing is charged before all quotas are known,
    /// and the request's readiness is given back while it waits for them. A policy has one way or the other: the one
    /// that was given last.
    ///
    /// ```
    /// use buttress_http::{ClientIp, Head};
    /// use buttress_rate_limit::{Policy, Quota};
    ///
    /// # async fn row_of(key: String) -> Option<Quota> { Quota::per_minute(key.len() as u64).build().ok() }
    /// let by_contract = Policy::new("per-tenant", "10/min").key(ClientIp::peer()).quota_by_lookup(|head: &Head| {
    ///     let key = head.headers().get("x-api-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    ///     async move { row_of(key?).await }
    /// });
    /// # let _ = by_contract;
    /// ```
    pub fn quota_by_lookup<F>(mut self, lookup: impl Fn(&T) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<Quota>> + Send + 'static,
    {
        self.whose.lookup = Some(Arc::new(lookup));
        self.whose.quota = None;
        self
    }

    /// Tries the policy without enforcing it: it is charged for every request that the others admit, its
    /// decisions are told to the observer ([`Event::WouldRefuse`](crate::Event::WouldRefuse)), and it
    /// refuses nothing and shows in no field. What it was charged stays charged: what is settled, refunded or given up is so
    /// for the policies that are enforced.
    ///
    /// Nobody waits for it: a quota that has to be [looked up](Self::quota_by_lookup), or a store other than the one in
    /// memory, is an error when the layer is built.
    pub fn shadow(mut self) -> Self {
        self.shadow = true;
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_shadow(&self) -> bool {
        self.shadow
    }

    pub(crate) fn compile(
        self,
        ordinal: u8,
        clock: &AnyClock,
    ) -> Result<(Arc<Limit>, Whose<T>), ConfigError> {
        let name = Arc::clone(&self.name);
        let by_request = self.whose.quota.is_some() || self.whose.lookup.is_some();
        let kind = match by_request {
            true => self.kind.by_request(),
            false => self.kind,
        };
        let (overflow, clock) = (self.overflow, clock.clone());
        let built = self
            .quota
            .and_then(|quota| Limit::build(self.name, ordinal, quota, kind, overflow, clock));
        let limit = built.map_err(|error| error.of_part(&name))?;
        let limit = if self.whose.key.is_some() {
            limit
        } else {
            limit.without_keys()
        };
        Ok((Arc::new(limit), self.whose))
    }
}

impl<T: ?Sized> Clone for Policy<T> {
    // Derived, it would ask for `T: Clone`, of which there is none in here.
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            quota: self.quota.clone(),
            whose: Whose {
                key: self.whose.key.clone(),
                missing_key: self.whose.missing_key,
                cost: self.whose.cost.clone(),
                quota: self.whose.quota.clone(),
                lookup: self.whose.lookup.clone(),
            },
            kind: self.kind.clone(),
            overflow: self.overflow,
            shadow: self.shadow,
        }
    }
}

impl<T: ?Sized> fmt::Debug for Policy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

/// Something of the user's that is read of a request.
pub(crate) type Read<T, O> = Arc<dyn Fn(&T) -> O + Send + Sync>;

/// An extractor that can be told from others.
pub(crate) trait Extractor<T: ?Sized>: ExtractKey<T> + Any {}

impl<T: ?Sized, E: ExtractKey<T>> Extractor<T> for E {}

/// What is read of a request for one policy.
pub(crate) struct Whose<T: ?Sized> {
    /// Whose quota; `None`: everybody's.
    pub(crate) key: Option<Arc<dyn Extractor<T>>>,
    pub(crate) missing_key: OnMissingKey,
    /// How much; `None`: 1.
    pub(crate) cost: Option<Read<T, u64>>,
    /// Of which quota; `None`: the policy's own.
    pub(crate) quota: Option<Read<T, Option<Quota>>>,
    /// Or of one that has to be looked up.
    pub(crate) lookup: Option<Arc<dyn LookUp<T>>>,
}
