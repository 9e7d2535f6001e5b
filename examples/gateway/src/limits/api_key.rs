use buttress_core::{ExtractKey, KeyWriter, MissingKey};
use buttress_http::{Head, keys};

use crate::config::{KeySource, Violation, reason};

/// The API key of a request, wherever the operator has it.
#[derive(Clone, Debug)]
pub(crate) enum ApiKey {
    Bearer,
    Header(keys::ApiKey),
}

impl ApiKey {
    pub(crate) fn at(source: &KeySource) -> Result<Self, Violation> {
        match source {
            KeySource::Bearer => Ok(Self::Bearer),
            KeySource::Header(name) => keys::ApiKey::in_header(name)
                .map(Self::Header)
                .map_err(|error| Violation::new("limits.per_key.key.header", reason(&error))),
        }
    }
}

impl ExtractKey<Head> for ApiKey {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        match self {
            Self::Bearer => keys::BearerToken.extract(from, key),
            Self::Header(header) => header.extract(from, key),
        }
    }
}
