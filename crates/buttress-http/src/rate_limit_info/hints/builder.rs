use std::sync::Arc;

use buttress_core::ConfigError;

use super::{BodyHints, Own, WaitUnit, table::Sign};
use crate::rate_limit_info::verdict::Cause;

/// Rows that the user adds come before the vendors'.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct BodyHintsBuilder {
    pub(super) own: Own,
}

impl BodyHintsBuilder {
    /// A member `code`, `type`, `status`, `reason`, `__type` or `error` that holds this, or an XML
    /// element that does, whatever its case, means that. [`Cause::Unknown`] silences a vendor's row.
    pub fn code(mut self, code: impl Into<String>, cause: Cause) -> Self {
        self.own
            .means
            .push((Sign::Code(code.into().to_ascii_lowercase()), cause));
        self
    }

    /// Any string of the body, or a body that is no JSON, with this in it, whatever its ASCII case,
    /// means that.
    pub fn phrase(mut self, phrase: impl Into<String>, cause: Cause) -> Self {
        self.own
            .means
            .push((Sign::Phrase(phrase.into().to_ascii_lowercase()), cause));
        self
    }

    /// A member of this name, wherever it is, tells how long to wait.
    pub fn wait(mut self, member: impl Into<String>, unit: WaitUnit) -> Self {
        self.own.waits.push((member.into(), unit));
        self
    }

    /// Forgets the vendors' rows.
    pub fn without_vendors(mut self) -> Self {
        self.own.without_vendors = true;
        self
    }

    /// The table.
    ///
    /// # Errors
    ///
    /// Where a code, a phrase or a member's name is empty, and where there are more than 64 rows: each
    /// is looked for in every string of a body.
    pub fn build(self) -> Result<BodyHints, ConfigError> {
        for (sign, _) in &self.own.means {
            let (field, text) = match sign {
                Sign::Code(code) => ("code", code),
                Sign::Phrase(phrase) => ("phrase", phrase),
            };
            if text.is_empty() {
                return Err(ConfigError::new(field, "", "at least one character"));
            }
        }
        if self.own.waits.iter().any(|(member, _)| member.is_empty()) {
            return Err(ConfigError::new("wait", "", "the name of a member"));
        }
        let rows = self.own.means.len() + self.own.waits.len();
        if rows > 64 {
            return Err(ConfigError::new("rows", rows, "at most 64"));
        }
        Ok(BodyHints {
            own: Arc::new(self.own),
        })
    }
}
