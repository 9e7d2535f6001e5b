//! The limit by API key, with its tiers.

use std::collections::HashMap;

use buttress_core::{Digest, DigestKey, KeyWriter, MissingKey};
use buttress_http::Head;
use buttress_rate_limit::{Policy, Quota};

use super::{PER_KEY, api_key::ApiKey};
use crate::config::{PerKeyConfig, Violation};

pub(super) fn policy(config: &PerKeyConfig, key: ApiKey) -> Result<Policy, Violation> {
    let tiers = Tiers::of(config, key.clone())?;
    let policy = Policy::new(PER_KEY, config.quota)
        .key(key)
        .missing_key(config.missing.choice());
    Ok(if tiers.quotas.is_empty() {
        policy
    } else {
        policy.quota_by(move |head| tiers.quota_of(head))
    })
}

/// The quotas of the keys that have one of their own.
///
/// Keys are kept as digests, which `buttress-http` takes of a request itself: its rules of what a key is hold
/// here too, and a dump of the process's tables shows no secret.
struct Tiers {
    key: ApiKey,
    secret: DigestKey,
    quotas: HashMap<Digest, Quota>,
}

impl Tiers {
    fn of(config: &PerKeyConfig, key: ApiKey) -> Result<Self, Violation> {
        let secret = DigestKey::random();
        let mut quotas = HashMap::new();
        for (name, tier) in &config.tiers {
            for (index, text) in tier.keys.iter().enumerate() {
                // Which key it is, is not said.
                let wrong = |expected| {
                    let field = format!("limits.per_key.tiers.{name}.keys[{index}]");
                    Violation::new(field, expected)
                };
                let text = text.reveal().as_bytes();
                if text.is_empty() || !text.iter().all(u8::is_ascii_graphic) {
                    return Err(wrong("expected visible ASCII characters without spaces"));
                }
                let written = |text: &[u8], key: &mut KeyWriter<'_>| {
                    key.secret(text);
                    Ok::<(), MissingKey>(())
                };
                if let Ok(digest) = secret.digest_from(&written, text)
                    && quotas.insert(digest, tier.quota).is_some()
                {
                    return Err(wrong("stands in a tier already, expected each key once"));
                }
            }
        }
        Ok(Self {
            key,
            secret,
            quotas,
        })
    }

    fn quota_of(&self, head: &Head) -> Option<Quota> {
        let digest = self.secret.digest_from(&self.key, head).ok()?;
        self.quotas.get(&digest).copied()
    }
}
