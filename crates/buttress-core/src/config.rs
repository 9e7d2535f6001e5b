use std::{borrow::Cow, error::Error, fmt};

/// A configuration that cannot work, found when it is built.
///
/// Its `Display` names the field, the value and what was expected: ``burst: `0` given, expected at
/// least 1``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    field: &'static str,
    value: String,
    expected: Cow<'static, str>,
}

impl ConfigError {
    /// The `field` holds `value`, where `expected` was expected.
    pub fn new(
        field: &'static str,
        value: impl fmt::Display,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field,
            value: value.to_string(),
            expected: expected.into(),
        }
    }

    /// The name of the field, as it is called in the API.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The value that was given.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What would have been accepted.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: `{}` given, expected {}",
            self.field, self.value, self.expected
        )
    }
}

impl Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_field_value_and_expectation() {
        let error = ConfigError::new("burst", 0, "at least 1");
        assert_eq!(error.to_string(), "burst: `0` given, expected at least 1");
        assert_eq!(
            (error.field(), error.value(), error.expected()),
            ("burst", "0", "at least 1")
        );
    }
}
