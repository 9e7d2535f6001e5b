use serde::Deserialize;

use super::Violation;
use crate::path::Prefix;

/// How the gateway's own errors read. A gRPC caller is always answered in gRPC, and everybody else in
/// problem+json (RFC 9457), but for these.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct ErrorsConfig {
    /// At and below these paths a caller with `Authorization: Bearer` speaks `OpenAI`'s protocol.
    pub openai: Vec<String>,
}

impl Default for ErrorsConfig {
    fn default() -> Self {
        Self {
            openai: vec!["/v1".to_owned()],
        }
    }
}

impl ErrorsConfig {
    /// Whether all of them are paths.
    pub(super) fn check(&self) -> Result<(), Violation> {
        for (index, path) in self.openai.iter().enumerate() {
            if Prefix::of(path).is_none() {
                return Err(Violation::new(
                    format!("errors.openai[{index}]"),
                    format_args!(
                        "`{path}` given, expected a path such as \"/v1\", decoded and without a slash at its end"
                    ),
                ));
            }
        }
        Ok(())
    }
}
