//! What a file may say, and what the program says to one that it cannot mean.

mod choices;
mod contradictions;
mod documented;
mod program;
mod shape;
mod values;

use std::path::Path;

use gateway::{Config, ConfigFileError, config::parse};

fn parsed(text: &str) -> Result<Config, ConfigFileError> {
    parse(text, Path::new("gateway.toml"))
}

/// The text, and how the error begins that it must be.
type Wrong = (&'static str, &'static str);

/// An error names file, line, field and reason, in one line.
#[track_caller]
fn each_is_said(wrong: &[Wrong]) {
    for (text, expected) in wrong {
        let error = parsed(text).expect_err(text).to_string();
        assert!(error.starts_with(expected), "{text:?}: {error}");
        assert!(!error.contains(char::is_control), "one line: {error}");
        assert!(
            !error.contains("s3cret"),
            "a key is not to be told: {error}"
        );
    }
}
