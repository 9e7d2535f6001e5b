use serde::Deserializer;

use super::number::whole;

/// A number of connections. More than a million no process has descriptors for.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    whole(deserializer, 1..=1_000_000, "")
}
