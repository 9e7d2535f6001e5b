//! The configuration as a layer of `buttress-rate-limit`.

use buttress_core::ConfigError;
use buttress_rate_limit::{Policy, RateLimitLayer};

use crate::config::{Config, Violation, reason};

/// The limit of each client, by its address.
///
/// # Errors
///
/// Where `[client_ip]` and `[limits.per_ip]` make no limit; not for a configuration that
/// [`parse`](crate::config::parse) accepted.
pub fn per_ip(config: &Config) -> Result<RateLimitLayer, Violation> {
    with_room_for(config.limits.per_ip.max_keys, config)
}

/// Whether [`per_ip`] would be built, without its memory.
pub(crate) fn check(config: &Config) -> Result<(), Violation> {
    with_room_for(1, config).map(drop)
}

fn with_room_for(max_keys: usize, config: &Config) -> Result<RateLimitLayer, Violation> {
    let key = config.client_ip.build()?;
    let per_ip = &config.limits.per_ip;
    RateLimitLayer::http(Policy::new("per-ip", per_ip.quota()?).key(key))
        .fields(per_ip.fields.style())
        .max_keys(max_keys)
        .build()
        .map_err(|error| violation(&error))
}

/// The layer's word about one of its fields, as the word about the file's.
fn violation(error: &ConfigError) -> Violation {
    let field = match error.field() {
        "max_keys" => "limits.per_ip.max_keys",
        "quota" | "count" | "period" | "burst" => "limits.per_ip.quota",
        _ => "limits.per_ip",
    };
    Violation::new(field, reason(error))
}
