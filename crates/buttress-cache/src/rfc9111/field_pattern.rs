use std::fmt;

use http::HeaderName;

/// The names of some fields: one name, or all that begin alike.
#[derive(Clone, PartialEq, Eq)]
pub struct FieldPattern {
    /// In lower case, as the `http` crate keeps names.
    name: String,
    prefix: bool,
}

impl FieldPattern {
    /// The field of this name.
    #[must_use]
    pub fn exactly(name: &HeaderName) -> Self {
        Self {
            name: name.as_str().to_owned(),
            prefix: false,
        }
    }

    /// All fields whose names begin so, whatever the case.
    #[must_use]
    pub fn starting_with(prefix: &str) -> Self {
        Self {
            name: prefix.to_ascii_lowercase(),
            prefix: true,
        }
    }

    /// The fields that tell a client what is left of *its* quota (`RateLimit`, `RateLimit-Policy`, `X-RateLimit-*` and
    /// their kin), which is no business of the next client.
    #[must_use]
    pub fn rate_limits() -> Vec<Self> {
        [
            "ratelimit",
            "x-ratelimit",
            "x-rate-limit",
            "anthropic-ratelimit",
            "x-shopify-shop-api-call-limit",
        ]
        .map(Self::starting_with)
        .into()
    }

    /// Whether it covers the field.
    #[must_use]
    pub fn matches(&self, field: &HeaderName) -> bool {
        if self.prefix {
            field.as_str().starts_with(&self.name)
        } else {
            field.as_str() == self.name
        }
    }
}

/// As it would be written in a configuration: `x-ratelimit*`.
impl fmt::Debug for FieldPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.prefix { "*" } else { "" })
    }
}
