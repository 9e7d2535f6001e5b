use std::{collections::BTreeMap, fmt};

use serde::Deserialize;

use crate::{
    dialect::{BUILT_IN, Dialects},
    manner::Manner,
};

/// What the server knows before anybody asks: the seed of its moods, dialects, and paths that have a
/// manner of their own.
#[derive(Clone, Debug)]
pub struct Script {
    pub(crate) seed: u64,
    pub(crate) dialects: Dialects,
    pub(crate) paths: BTreeMap<String, Manner>,
}

/// A script that cannot be followed.
#[derive(Debug)]
pub struct ScriptError(String);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    paths: BTreeMap<String, String>,
    #[serde(default)]
    dialects: Dialects,
}

impl Script {
    /// Reads a script:
    ///
    /// ```toml
    /// seed = 7
    ///
    /// [paths] # for clients that choose their own
    /// "/v1/chat/completions" = "openai?refuse=2&wait=1s"
    ///
    /// [dialects.ours] # a row as in dialects.toml
    /// status = 420
    /// headers = ["x-calm-down-for: {seconds}"]
    /// ```
    ///
    /// # Errors
    ///
    /// Where it is no TOML of this form, and where a manner or a dialect in it makes no sense.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let file: File = toml::from_str(text).map_err(|error| ScriptError(error.to_string()))?;
        let mut dialects: Dialects =
            toml::from_str(BUILT_IN).map_err(|error| ScriptError(error.to_string()))?;
        for (name, dialect) in &file.dialects {
            dialect
                .validate()
                .map_err(|error| ScriptError(format!("dialects.{name}: {error}")))?;
        }
        dialects.extend(file.dialects);
        let paths = file.paths.into_iter().map(|(path, text)| {
            Manner::parse(&text)
                .map(|manner| (path.clone(), manner))
                .map_err(|error| ScriptError(format!("paths.{path}: {error}")))
        });
        Ok(Self {
            seed: file.seed,
            paths: paths.collect::<Result<_, _>>()?,
            dialects,
        })
    }

    /// The seed of what is left to chance.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The names of all dialects.
    pub fn dialects(&self) -> impl Iterator<Item = &str> {
        self.dialects.keys().map(String::as_str)
    }
}

/// The dialects that come with the server.
impl Default for Script {
    fn default() -> Self {
        // A test holds that the built-in rows make sense.
        Self::parse("").unwrap_or_else(|_| Self {
            seed: 0,
            dialects: Dialects::new(),
            paths: BTreeMap::new(),
        })
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScriptError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("sed = 1", "sed"),
            (
                "[paths]\n\"/x\" = \"openai?wait=soon\"",
                "paths./x: wait=soon",
            ),
            ("[dialects.ours]\nstatus = 42", "dialects.ours: 42"),
            (
                "[dialects.ours]\nstatus = 420\nheaders = [\"oops\"]",
                "dialects.ours: oops",
            ),
        ] {
            let error = Script::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn own_dialects_come_to_those_that_are_there() {
        let script = Script::parse("[dialects.ours]\nstatus = 420").unwrap();
        for name in ["ours", "openai", "silent"] {
            assert!(script.dialects().any(|known| known == name), "{name}");
        }
        assert_eq!(
            Script::default().dialects().count() + 1,
            script.dialects().count()
        );
    }
}
