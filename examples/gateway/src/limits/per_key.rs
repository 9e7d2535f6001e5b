//! The limit by API key, with its tiers.

use buttress_http::Head;
use buttress_rate_limit::{OnMissingKey, Policy};

use super::{PER_KEY, api_key::ApiKey};
use crate::{
    config::{MissingKey, PerKeyConfig},
    keys::Holder,
};

/// Whose key it is was found out further out, by [`crate::keys`].
pub(super) fn policy(config: &PerKeyConfig, key: ApiKey) -> Policy {
    let policy = Policy::new(PER_KEY, config.quota)
        .key(key)
        .quota_by(|head: &Head| match head.extensions().get()? {
            Holder::Tier(tier) => Some(tier.quota),
            _ => None,
        });
    match config.missing {
        MissingKey::Share => policy.missing_key(OnMissingKey::Share).cost(cost),
        // Who comes here without a key was let pass without one.
        MissingKey::Refuse | MissingKey::Exempt => policy.missing_key(OnMissingKey::Exempt),
    }
}

/// Preflights have no key either, and take nothing of what those share who have none.
fn cost(head: &Head) -> u64 {
    match head.extensions().get() {
        Some(Holder::Preflight) => 0,
        _ => 1,
    }
}
