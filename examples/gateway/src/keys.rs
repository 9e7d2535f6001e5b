//! API keys: whose key a request carries, and whether it may pass with it.
//!
//! It stands inside of the limit by address, so that guessing keys is limited, and outside of the cache and of
//! the tenant's limits, so that what is refused here (401) costs a tenant nothing.

use std::{collections::HashMap, fmt, future::ready, sync::Arc};

use axum::{extract::Request, response::Response};
use buttress_core::{Digest, DigestKey, KeyWriter, MissingKey, View as _};
use buttress_http::{Head, LocalRefusal, Problem};
use buttress_rate_limit::Quota;
use http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE};

use crate::{
    call::{Call, Decision},
    config::{KeySource, MissingKey as OnMissing, PerKeyConfig, UnknownKey, Violation},
    limits::ApiKey,
    preflight,
    refusal::Refusal,
    shared::{Answer, Serve, Shared},
};

/// Who holds the key of a request. It travels with the request.
#[derive(Clone, Debug)]
pub(crate) enum Holder {
    /// The key is of this tier.
    Tier(Arc<Tier>),
    /// The key is of no tier.
    Anybody,
    /// There is no key.
    Nobody,
    /// There is no key, and there need not be one.
    Preflight,
}

/// What the keys of a tier have in common.
#[derive(Debug)]
pub(crate) struct Tier {
    name: Arc<str>,
    pub(crate) quota: Quota,
}

/// The keys that are known.
///
/// They are kept as digests, which `buttress-http` takes of a request itself: its rules of what a key is hold
/// here too, and a dump of the process's tables shows no secret.
pub(crate) struct Keys {
    key: ApiKey,
    secret: DigestKey,
    tiers: HashMap<Digest, Arc<Tier>>,
    missing: OnMissing,
    unknown: UnknownKey,
    is_bearer: bool,
}

impl Keys {
    pub(crate) fn of(config: &PerKeyConfig) -> Result<Self, Violation> {
        let secret = DigestKey::random();
        let mut tiers = HashMap::new();
        for (name, tier) in &config.tiers {
            if name.is_empty() || name.contains(char::is_control) {
                let field = format!("limits.per_key.tiers.{name}");
                return Err(Violation::new(
                    field,
                    "expected a name of visible characters",
                ));
            }
            let shared = Arc::new(Tier {
                name: name.as_str().into(),
                quota: tier.quota,
            });
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
                    && tiers.insert(digest, Arc::clone(&shared)).is_some()
                {
                    return Err(wrong("stands in a tier already, expected each key once"));
                }
            }
        }
        Ok(Self {
            key: ApiKey::at(&config.key)?,
            secret,
            tiers,
            missing: config.missing,
            unknown: config.unknown,
            is_bearer: config.key == KeySource::Bearer,
        })
    }

    fn holder(&self, head: &Head) -> Holder {
        match self.secret.digest_from(&self.key, head) {
            Ok(digest) => match self.tiers.get(&digest) {
                Some(tier) => Holder::Tier(Arc::clone(tier)),
                None => Holder::Anybody,
            },
            Err(_) if preflight::is_marked(head) => Holder::Preflight,
            Err(_) => Holder::Nobody,
        }
    }

    /// What is wrong with the holder, if something is.
    fn refuses(&self, holder: &Holder) -> Option<Wrong> {
        match holder {
            Holder::Nobody if self.missing == OnMissing::Refuse => Some(Wrong::Missing),
            Holder::Anybody if self.unknown == UnknownKey::Refuse => Some(Wrong::Unknown),
            _ => None,
        }
    }

    fn refusal(&self, wrong: Wrong) -> Response {
        let problem = Problem::new(StatusCode::UNAUTHORIZED);
        let mut response = Refusal::unauthorized(wrong.detail()).into_response(problem);
        // A 401 names a scheme (RFC 9110 §15.5.2); for a header of one's own there is none.
        let challenge = if self.is_bearer {
            wrong.challenge()
        } else {
            "ApiKey"
        };
        let challenge = HeaderValue::from_static(challenge);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        LocalRefusal::new(None).mark(&mut response);
        response
    }
}

/// Why a request may not pass.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Missing,
    Unknown,
}

impl Wrong {
    const fn detail(self) -> &'static str {
        match self {
            Self::Missing => "an API key is needed",
            Self::Unknown => "the API key is not known",
        }
    }

    /// RFC 6750 §3: never the scheme alone, and an error only where there was a token.
    const fn challenge(self) -> &'static str {
        match self {
            Self::Missing => "Bearer realm=\"buttress-gateway\"",
            Self::Unknown => "Bearer realm=\"buttress-gateway\", error=\"invalid_token\"",
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("known", &self.tiers.len())
            .finish_non_exhaustive()
    }
}

/// Finds the holder of each request's key, and lets it pass to `inner` or not.
#[derive(Debug)]
pub(crate) struct CheckKeys {
    pub(crate) inner: Shared,
    pub(crate) keys: Keys,
}

impl Serve for CheckKeys {
    fn serve(&self, mut request: Request) -> Answer {
        let holder = self.keys.holder(Head::of(&request));
        let refused = self.keys.refuses(&holder);
        Call::note(|| match (&holder, refused) {
            (Holder::Tier(tier), _) => Decision::of("keys", "admitted").tier(&tier.name),
            (_, Some(_)) => Decision::of("keys", "refused"),
            (Holder::Anybody, None) => Decision::of("keys", "unknown"),
            (Holder::Nobody, None) => Decision::of("keys", "none"),
            (Holder::Preflight, None) => Decision::of("keys", "preflight"),
        });
        if let Some(wrong) = refused {
            return Box::pin(ready(Ok(self.keys.refusal(wrong))));
        }
        request.extensions_mut().insert(holder);
        self.inner.serve(request)
    }
}
