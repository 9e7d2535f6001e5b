//! The configuration as layers of `buttress-rate-limit`.
//!
//! They are two. The limit by address stands outermost: it is the cheapest refusal, and what it refuses is
//! looked at no further. The tenants' limits stand innermost, just before the upstreams: what is answered
//! before, by a refusal or from the cache, costs a tenant nothing. The latter are one layer of several policies,
//! so that a request is charged to all of them or to none; they stand, and are told to clients, from the one
//! that knows least to the one that protects most: the API key, the route, everybody.

mod access;
mod api_key;
mod logged;
mod noted;
mod per_key;
mod routes;
mod shadows;

use std::sync::Arc;

use buttress_core::ConfigError;
use buttress_http::ClientIp;
use buttress_rate_limit::{
    AsResponse, Limit, Policy, RateLimitLayer, RateLimitLayerBuilder,
    telemetry::{Metrics, Tracing},
};

pub(crate) use self::api_key::ApiKey;
use self::{logged::Logged, noted::Noted, routes::Routes, shadows::Shadows};
use crate::{
    config::{Config, LimitsConfig, PerIpConfig, Violation, reason},
    keys::Keys,
};

/// The limits' names, as clients and operators read them.
pub(crate) const PER_IP: &str = "per-ip";
pub(crate) const PER_KEY: &str = "per-key";
/// Of those routes that are tried out: each policy of a layer has a name of its own.
pub(crate) const PER_ROUTE_SHADOW: &str = "per-route-shadow";
pub(crate) const PER_ROUTE: &str = "per-route";
const GLOBAL: &str = "global";

/// All limits of the gateway.
#[derive(Clone, Debug)]
pub struct Limits {
    pub(crate) per_ip: Option<RateLimitLayer>,
    pub(crate) tenants: Option<RateLimitLayer>,
    routes: Vec<Routes>,
    shadows: Arc<Shadows>,
}

type Builder = RateLimitLayerBuilder<buttress_http::Head, AsResponse>;

impl Limits {
    /// As configured.
    ///
    /// # Errors
    ///
    /// Where `[client_ip]` and `[limits]` make no limits; not for a configuration that
    /// [`parse`](crate::config::parse) accepted.
    pub fn build(config: &Config) -> Result<Self, Violation> {
        Self::with_room_for(config.limits.max_keys()?, config)
    }

    fn with_room_for(max_keys: usize, config: &Config) -> Result<Self, Violation> {
        let limits = &config.limits;
        let client = config.client_ip.build()?;
        let shadows = Arc::new(Shadows::of(limits).map_err(|error| violation(&error))?);
        let fields = limits.fields()?.style();
        let built = |layer: Builder| {
            let telemetry = (Logged(Tracing::default()), Metrics::default());
            layer
                .observer((telemetry, (Noted, Arc::clone(&shadows))))
                .near_limit([])
                .fields(fields)
                .max_keys(max_keys)
                .build()
                .map_err(|error| violation(&error))
        };

        let mut per_ip = match &limits.per_ip {
            Some(config) => {
                let policy = Policy::new(PER_IP, config.quota()?).key(client.clone());
                let mut layer = RateLimitLayer::http(tried_out_if(config.shadow, policy));
                if !(limits.allow.is_empty() && limits.deny.is_empty()) {
                    layer = layer.access(access::at_the_door(client.clone(), limits));
                }
                Some(layer)
            }
            None if limits.deny.is_empty() => None,
            None => {
                let expected = "refuses at the limit by address, expected `[limits.per_ip]` too";
                return Err(Violation::new("limits.deny", expected));
            }
        };
        let (tenants, routes) = tenants(config, &client)?;
        if !tenants.is_empty() {
            // Callers read of those, too.
            per_ip = per_ip.map(Builder::join_fields);
        }
        let mut tenants = tenants.into_iter();
        let tenants = tenants.next().map(|first| {
            let mut layer = tenants.fold(RateLimitLayer::http(first), Builder::policy);
            if !limits.allow.is_empty() {
                layer = layer.access(access::further_in(client, limits));
            }
            layer
        });
        Ok(Self {
            per_ip: per_ip.map(built).transpose()?,
            tenants: tenants.map(built).transpose()?,
            routes,
            shadows,
        })
    }
}

impl Limits {
    /// Changes the quotas to those of `limits`, which are the same in everything else. What everybody has used
    /// stays used.
    ///
    /// # Errors
    ///
    /// Where a quota cannot be changed for now, since it was too often. Then none is.
    pub(crate) fn set_quotas(&self, limits: &LimitsConfig) -> Result<(), Violation> {
        let per_ip = limits.per_ip.as_ref();
        let quotas = [
            (
                "limits.per_ip",
                PER_IP,
                per_ip.map(PerIpConfig::quota).transpose()?,
            ),
            (
                "limits.per_key",
                PER_KEY,
                limits.per_key.as_ref().map(|limit| limit.quota),
            ),
            (
                "limits.global",
                GLOBAL,
                limits.global.as_ref().map(|limit| limit.quota),
            ),
        ];
        let mut changed = Vec::new();
        for (field, name, quota) in quotas {
            let Some((limit, quota)) = self.limit(name).zip(quota) else {
                continue;
            };
            let before = limit.quota();
            if before == quota {
                continue;
            }
            if let Err(error) = limit.set_quota(quota) {
                for (limit, before) in changed {
                    // It was in force a moment ago.
                    let _: Result<_, _> = Limit::set_quota(limit, before);
                }
                return Err(Violation::new(format!("{field}.quota"), reason(&error)));
            }
            changed.push((limit, before));
        }
        for routes in &self.routes {
            routes.set_quotas(&limits.routes);
        }
        Ok(())
    }

    fn limit(&self, name: &str) -> Option<&Limit> {
        let mut found = self.layers().filter_map(|layer| layer.limit(name));
        found.next().map(|limit| &**limit)
    }

    /// The limits that are only tried out, and how often each would have refused.
    pub(crate) fn shadows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.shadows.iter()
    }

    /// Those that there are, outermost first.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &RateLimitLayer> {
        [self.per_ip.as_ref(), self.tenants.as_ref()]
            .into_iter()
            .flatten()
    }
}

/// Whether the limits could be built, without their memory.
pub(crate) fn check(config: &Config) -> Result<(), Violation> {
    config.limits.max_keys()?;
    if let Some(per_key) = &config.limits.per_key {
        Keys::of(per_key)?;
    }
    Limits::with_room_for(1, config).map(drop)
}

fn tenants(config: &Config, client: &ClientIp) -> Result<(Vec<Policy>, Vec<Routes>), Violation> {
    let limits = &config.limits;
    let api_key = match &limits.per_key {
        Some(per_key) => Some(ApiKey::at(&per_key.key)?),
        None => None,
    };
    let (mut policies, mut routes) = (Vec::new(), Vec::new());
    if let (Some(per_key), Some(api_key)) = (&limits.per_key, &api_key) {
        let policy = per_key::policy(per_key, api_key.clone());
        policies.push(tried_out_if(per_key.shadow, policy));
    }
    for (shadow, policy, of) in routes::policies(&limits.routes, client, api_key.as_ref())? {
        policies.push(tried_out_if(shadow, policy));
        routes.push(of);
    }
    if let Some(global) = &limits.global {
        let policy = Policy::new(GLOBAL, global.quota);
        policies.push(tried_out_if(global.shadow, policy));
    }
    Ok((policies, routes))
}

fn tried_out_if(shadow: bool, policy: Policy) -> Policy {
    if shadow { policy.shadow() } else { policy }
}

/// The layer's word about one of its fields, as the word about the file's.
fn violation(error: &ConfigError) -> Violation {
    let field = match error.field() {
        "max_keys" => "limits.max_keys",
        _ => "limits",
    };
    Violation::new(field, reason(error))
}
