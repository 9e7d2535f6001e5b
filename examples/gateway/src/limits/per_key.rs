//! The limit by API key, with its tiers.

use buttress_http::Head;
use buttress_rate_limit::Policy;

use super::{PER_KEY, api_key::ApiKey};
use crate::{config::PerKeyConfig, keys::Holder};

/// Whose key it is was found out further out, by [`crate::keys`].
pub(super) fn policy(config: &PerKeyConfig, key: ApiKey) -> Policy {
    Policy::new(PER_KEY, config.quota)
        .key(key)
        .missing_key(config.missing.choice())
        .quota_by(|head: &Head| match head.extensions().get()? {
            Holder::Tier(tier) => Some(tier.quota),
            _ => None,
        })
}
