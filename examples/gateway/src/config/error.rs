use std::{
    error::Error,
    fmt::{self, Write},
    path::{Path, PathBuf},
};

use super::locate;

/// A configuration that cannot be meant: which field, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's full path, as `limits.per_ip.quota`.
    pub field: String,
    /// What was expected, or what is wrong.
    pub reason: String,
}

impl Violation {
    /// The field at `field` is wrong for `reason`.
    pub fn new(field: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self {
            field: field.into(),
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

impl Error for Violation {}

/// An error in a configuration file; its `Display` is `file:line: field: reason`.
///
/// The line and the field are left out where there is none: a file that cannot be read has neither, and a
/// text that is not TOML has no field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFileError {
    file: PathBuf,
    line: Option<usize>,
    field: Option<String>,
    reason: String,
}

impl ConfigFileError {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line, counted from 1.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        self.line
    }

    /// The full path of the field.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(super) fn of_file(file: &Path, reason: String) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            field: None,
            reason,
        }
    }

    pub(super) fn of_toml(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let span = error.span();
        Self {
            file: file.to_owned(),
            line: span.as_ref().map(|span| locate::line(text, span.start)),
            field: span.and_then(|span| locate::field_at(text, &span)),
            reason: match error.message() {
                // Of a choice, which an operator knows by its words.
                "wanted string or table" => {
                    "expected one of its words, in quotation marks".to_owned()
                }
                message => message.to_owned(),
            },
        }
    }

    pub(super) fn of_violation(file: &Path, text: &str, violation: Violation) -> Self {
        Self {
            file: file.to_owned(),
            line: locate::span_of(text, &violation.field)
                .map(|span| locate::line(text, span.start)),
            field: Some(violation.field),
            reason: violation.reason,
        }
    }
}

impl fmt::Display for ConfigFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if let Some(field) = &self.field {
            write!(f, " {}:", OneLine(field))?;
        }
        write!(f, " {}", OneLine(&self.reason))
    }
}

/// Text of the file's author, who may quote anything: it is to break neither the line nor the terminal.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

impl Error for ConfigFileError {}

/// What a crate of ours says about a value, without its own name for the field: the file has another.
pub(crate) fn reason(error: &buttress_core::ConfigError) -> String {
    format!("`{}` given, expected {}", error.value(), error.expected())
}
