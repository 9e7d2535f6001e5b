use buttress_core::{ExtractKey, KeyWriter, MissingKey};
use buttress_http::{Head, keys};
use http::HeaderName;

use crate::config::{KeySource, Violation, reason};

/// The API key of a request, wherever the operator has it.
#[derive(Clone, Debug)]
pub(crate) struct ApiKey {
    source: KeySource,
    header: Option<keys::ApiKey>,
}

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl ApiKey {
    pub(crate) fn at(source: &KeySource) -> Result<Self, Violation> {
        let header = match source {
            KeySource::Bearer => None,
            KeySource::Header(name) => {
                let header = keys::ApiKey::in_header(name);
                let wrong = |error| Violation::new("limits.per_key.key.header", reason(&error));
                Some(header.map_err(wrong)?)
            }
        };
        Ok(Self {
            source: source.clone(),
            header,
        })
    }
}

impl ApiKey {
    /// The header of the operator's own, if it stands in one.
    pub(crate) fn own_header(&self) -> Option<HeaderName> {
        match &self.source {
            KeySource::Bearer => None,
            KeySource::Header(name) => name.parse().ok(),
        }
    }
}

impl ExtractKey<Head> for ApiKey {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        match &self.header {
            None => keys::BearerToken.extract(from, key),
            Some(header) => header.extract(from, key),
        }
    }
}
