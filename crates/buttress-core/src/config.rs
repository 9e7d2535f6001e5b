use std::{borrow::Cow, error::Error, fmt};

/// A configuration that cannot work, found when it is built.
///
/// Its `Display` names the field, the value and what was expected: ``burst: `0` given, expected at
/// least 1``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The part that the field belongs to, where there are several of a kind.
    part: Option<Box<str>>,
    field: &'static str,
    value: String,
    expected: Cow<'static, str>,
}

impl ConfigError {
    /// The `field` holds `value`, where `expected` was expected.
    #[must_use]
    pub fn new(
        field: &'static str,
        value: impl fmt::Display,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            part: None,
            field,
            value: value.to_string(),
            expected: expected.into(),
        }
    }

    /// Says to which part of the configuration the field belongs: the policy, the upstream.
    #[must_use]
    pub fn of_part(mut self, part: &str) -> Self {
        self.part = Some(part.into());
        self
    }

    /// The part that the field belongs to, where there are several of a kind.
    #[must_use]
    pub fn part(&self) -> Option<&str> {
        self.part.as_deref()
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
        if let Some(part) = &self.part {
            write!(f, "{part}: ")?;
        }
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

    #[test]
    fn names_the_part_where_there_are_several() {
        let error = ConfigError::new("burst", 0, "at least 1").of_part("per-ip");
        assert_eq!(
            error.to_string(),
            "per-ip: burst: `0` given, expected at least 1"
        );
        assert_eq!(error.part(), Some("per-ip"));
    }
}
