use serde::{Deserialize, Deserializer, de};

/// A number of connections. More than so many no process has descriptors for.
const MOST: usize = 1_000_000;

pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let count = usize::deserialize(deserializer)?;
    if (1..=MOST).contains(&count) {
        Ok(count)
    } else {
        Err(de::Error::custom(format_args!(
            "`{count}` given, expected 1 to {MOST}"
        )))
    }
}
