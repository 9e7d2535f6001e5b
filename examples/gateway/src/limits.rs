//! The configuration as a layer of `buttress-rate-limit`.
//!
//! One layer of several policies, so that a request is charged to all of them or to none. They stand, and are
//! told to clients, from the one that knows least to the one that protects most: the client's address, its
//! API key, the route, everybody. The upstream comes after all of them, hence nothing is charged that does
//! not reach it.

mod access;
mod api_key;
mod path;
mod per_key;
mod routes;
mod shadows;

use buttress_core::ConfigError;
use buttress_rate_limit::telemetry::Tracing;
use buttress_rate_limit::{Policy, RateLimitLayer};

use self::{api_key::ApiKey, shadows::Shadows};
use crate::config::{Config, Violation, reason};

/// The limits' names, as clients and operators read them.
const PER_IP: &str = "per-ip";
const PER_KEY: &str = "per-key";
const PER_ROUTE: &str = "per-route";
const GLOBAL: &str = "global";

/// All limits of the gateway.
///
/// # Errors
///
/// Where `[client_ip]` and `[limits]` make no limits; not for a configuration that
/// [`parse`](crate::config::parse) accepted.
pub fn layer(config: &Config) -> Result<RateLimitLayer, Violation> {
    with_room_for(config.limits.max_keys()?, config)
}

/// Whether [`layer`] would be built, without its memory.
pub(crate) fn check(config: &Config) -> Result<(), Violation> {
    config.limits.max_keys()?;
    with_room_for(1, config).map(drop)
}

fn with_room_for(max_keys: usize, config: &Config) -> Result<RateLimitLayer, Violation> {
    let limits = &config.limits;
    let client = config.client_ip.build()?;
    let api_key = match &limits.per_key {
        Some(per_key) => Some(ApiKey::at(&per_key.key)?),
        None => None,
    };

    let per_ip = Policy::new(PER_IP, limits.per_ip.quota()?).key(client.clone());
    let mut layer = RateLimitLayer::http(tried_out_if(limits.per_ip.shadow, per_ip))
        .fields(limits.fields()?.style())
        .max_keys(max_keys);
    if let (Some(per_key), Some(api_key)) = (&limits.per_key, &api_key) {
        let policy = per_key::policy(per_key, api_key.clone())?;
        layer = layer.policy(tried_out_if(per_key.shadow, policy));
    }
    for (shadow, policy) in routes::policies(&limits.routes, &client, api_key.as_ref())? {
        layer = layer.policy(tried_out_if(shadow, policy));
    }
    if let Some(global) = &limits.global {
        let policy = Policy::new(GLOBAL, global.quota);
        layer = layer.policy(tried_out_if(global.shadow, policy));
    }

    if !(limits.allow.is_empty() && limits.deny.is_empty()) {
        layer = layer.access(access::rule(client, limits));
    }
    // A request without a key is a mistake in the deployment, of which the log tells.
    layer = match Shadows::of(limits).map_err(|error| violation(&error))? {
        Some(shadows) => layer.observer((Tracing::default(), shadows)),
        None => layer.observer(Tracing::default()),
    };
    layer = layer.near_limit([]);
    layer.build().map_err(|error| violation(&error))
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
