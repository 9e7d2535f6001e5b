use std::{fmt, sync::Arc};

use buttress_core::{ConfigError, ExtractKey};
use buttress_http::Head;

use crate::{Algorithm, IntoQuota, Limit, Overflow, Quota, algorithm::Kind};

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
pub struct Policy<T = Head> {
    name: Arc<str>,
    quota: Result<Quota, ConfigError>,
    key: Option<Arc<dyn ExtractKey<T>>>,
    missing_key: OnMissingKey,
    kind: Kind,
    overflow: Overflow,
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

impl<T> Policy<T> {
    /// A policy with one quota for all requests, until it is given a [`key`](Self::key).
    ///
    /// The `name` is what callers read in the `RateLimit` fields and problem reports.
    pub fn new(name: &str, quota: impl IntoQuota) -> Self {
        Self {
            name: name.into(),
            quota: quota.into_quota(),
            key: None,
            missing_key: OnMissingKey::default(),
            kind: Kind::default(),
            overflow: Overflow::default(),
        }
    }

    /// Gives each key a quota of its own.
    pub fn key(mut self, key: impl ExtractKey<T>) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// What happens to a request without a key; [`OnMissingKey::Refuse`] if not given.
    pub fn missing_key(mut self, missing_key: OnMissingKey) -> Self {
        self.missing_key = missing_key;
        self
    }

    /// How the quota is spent and comes back; [`Gcra`](crate::Gcra) if not given.
    pub fn algorithm(mut self, algorithm: impl Algorithm) -> Self {
        self.kind = Kind::Custom(Arc::new(algorithm));
        self
    }

    /// What happens to keys for which the store has no room; [`Overflow::Share`] if not given.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    pub(crate) fn compile(self, ordinal: u8) -> Result<(Arc<Limit>, Whose<T>), ConfigError> {
        let limit = Limit::build(self.name, ordinal, self.quota?, self.kind, self.overflow)?;
        Ok((
            Arc::new(limit),
            Whose {
                key: self.key,
                missing_key: self.missing_key,
            },
        ))
    }
}

impl<T> Clone for Policy<T> {
    // Derived, it would ask for `T: Clone`, of which there is none in here.
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            quota: self.quota.clone(),
            key: self.key.clone(),
            missing_key: self.missing_key,
            kind: self.kind.clone(),
            overflow: self.overflow,
        }
    }
}

impl<T> fmt::Debug for Policy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

/// Whose quota a request is charged to.
pub(crate) struct Whose<T> {
    /// `None`: everybody's.
    pub(crate) key: Option<Arc<dyn ExtractKey<T>>>,
    pub(crate) missing_key: OnMissingKey,
}
