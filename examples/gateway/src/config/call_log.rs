use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use super::number::whole;

/// A file with a line of JSON for each call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct CallLogConfig {
    /// The file. Older ones have a number behind their names, `.1` the youngest of them.
    pub path: PathBuf,
    /// A file that would grow beyond so many bytes is set aside.
    #[serde(default = "max_bytes", deserialize_with = "some_bytes")]
    pub max_bytes: u64,
    /// How many files are kept, the one that is written included.
    #[serde(default = "files", deserialize_with = "some_files")]
    pub files: u32,
    /// How many calls may wait for the disk; beyond it they are dropped, counted, and the count is written.
    #[serde(default = "queue", deserialize_with = "some_queue")]
    pub queue: usize,
}

impl CallLogConfig {
    /// At `path`, with the defaults.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_bytes: max_bytes(),
            files: files(),
            queue: queue(),
        }
    }
}

const fn max_bytes() -> u64 {
    100_000_000
}

const fn files() -> u32 {
    5
}

const fn queue() -> usize {
    10_000
}

/// Less than a line would leave nothing in any file.
fn some_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    whole(deserializer, 10_000..=1 << 50, " bytes")
}

fn some_files<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    whole(deserializer, 1..=1_000, "")
}

fn some_queue<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    whole(deserializer, 1..=1_000_000, "")
}
