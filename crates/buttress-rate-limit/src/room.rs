use buttress_core::ConfigError;

/// The room for keys that a limiter has unless told otherwise: 100,000 keys, in 3.2 MB.
pub(crate) const DEFAULT_MAX_KEYS: usize = 100_000;

/// Room for at least one key, and for no more than anybody has memory for.
pub(crate) fn checked_max_keys(max_keys: usize) -> Result<usize, ConfigError> {
    const MOST: usize = 1 << 28;
    if (1..=MOST).contains(&max_keys) {
        Ok(max_keys)
    } else {
        let expected = "1 to 268,435,456 keys, of 32 bytes each";
        Err(ConfigError::new("max_keys", max_keys, expected))
    }
}

pub(crate) fn too_many(keys: usize) -> ConfigError {
    ConfigError::new(
        "max_keys",
        keys,
        "as many keys as there is memory for, of 32 bytes each",
    )
}
