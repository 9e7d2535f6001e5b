mod fields;
mod global;
mod per_ip;
mod per_key;
mod preflight;
mod routes;

use serde::{Deserialize, Deserializer};

pub use self::{
    fields::Fields,
    global::GlobalConfig,
    per_ip::PerIpConfig,
    per_key::{KeySource, MissingKey, PerKeyConfig, Secret, TierConfig, UnknownKey},
    preflight::Preflight,
    routes::{RouteConfig, Who},
};
use super::{Network, Violation, number::whole};

/// What is limited: each client at the door, and further in what costs an upstream something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct LimitsConfig {
    /// Clients that no limit holds for.
    pub allow: Vec<Network>,
    /// Clients that are refused with 403, also where they are in [`allow`](Self::allow). That is at the door, where
    /// [`per_ip`](Self::per_ip) stands.
    pub deny: Vec<Network>,
    /// See [`max_keys`](Self::max_keys()).
    #[serde(deserialize_with = "max_keys")]
    pub max_keys: Option<usize>,
    /// See [`fields`](Self::fields()).
    pub fields: Option<Fields>,
    /// What happens to CORS preflights.
    pub preflight: Preflight,
    /// What each client may ask for.
    pub per_ip: Option<PerIpConfig>,
    /// What each API key may ask for.
    pub per_key: Option<PerKeyConfig>,
    /// What may be asked of single routes.
    pub routes: Vec<RouteConfig>,
    /// What all of them together may ask for.
    pub global: Option<GlobalConfig>,
}

/// The layer takes its memory at once, so a number that was mistyped must not take the machine's.
const MOST_KEYS: usize = 10_000_000;

impl LimitsConfig {
    /// How many clients, and how many keys, each limit remembers: in 32 bytes each, and in 96 where quotas differ, as those
    /// of tiers and of routes do; 100,000 where none is
    /// given.
    ///
    /// # Errors
    ///
    /// Where it is given here and in `[limits.per_ip]`.
    pub fn max_keys(&self) -> Result<usize, Violation> {
        let of_ip = self.per_ip.as_ref().and_then(|limit| limit.max_keys);
        let given = either("max_keys", self.max_keys, of_ip)?;
        Ok(given.unwrap_or(100_000))
    }

    /// The shape of the fields that tell clients what is left.
    ///
    /// # Errors
    ///
    /// Where it is given here and in `[limits.per_ip]`.
    pub fn fields(&self) -> Result<Fields, Violation> {
        let of_ip = self.per_ip.as_ref().and_then(|limit| limit.fields);
        let given = either("fields", self.fields, of_ip)?;
        Ok(given.unwrap_or_default())
    }
}

impl LimitsConfig {
    /// Whether `other` differs only in what can change while the limits are in use: in API keys, in
    /// quotas, and in what happens to preflights.
    #[must_use]
    pub fn is_but_for_quotas(&self, other: &Self) -> bool {
        self.without_quotas() == other.without_quotas()
    }

    fn without_quotas(&self) -> Self {
        let mut without = self.clone();
        // Any, but the same for all.
        let Ok(any) = PerIpConfig::default().quota() else {
            return without;
        };
        // Asked before the limits are.
        without.preflight = Preflight::default();
        if let Some(per_ip) = &mut without.per_ip {
            per_ip.quota = None;
        }
        if let Some(per_key) = &mut without.per_key {
            per_key.quota = any;
            per_key.tiers.clear();
            per_key.unknown = UnknownKey::default();
        }
        for route in &mut without.routes {
            route.quota = any;
        }
        if let Some(global) = &mut without.global {
            global.quota = any;
        }
        without
    }
}

/// What is of all limits now was of `[limits.per_ip]` while that was the only one, and may stand there still.
fn either<T>(name: &str, of_all: Option<T>, of_ip: Option<T>) -> Result<Option<T>, Violation> {
    match (of_all, of_ip) {
        (Some(_), Some(_)) => Err(Violation::new(
            format!("limits.per_ip.{name}"),
            format_args!("is `limits.{name}`, which is given too, expected one of them"),
        )),
        (of_all, of_ip) => Ok(of_all.or(of_ip)),
    }
}

fn max_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    whole(deserializer, 1..=MOST_KEYS, ", of 32 to 96 bytes each").map(Some)
}
