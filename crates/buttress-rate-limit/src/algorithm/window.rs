//! What the algorithms that count in windows have in common.

use buttress_core::ConfigError;

use crate::Quota;

/// A window admits its count, all at once if need be: a burst of another size means nothing to it.
pub(super) fn burst_is_the_count(quota: &Quota) -> Result<(), ConfigError> {
    if quota.burst() == quota.count() {
        return Ok(());
    }
    Err(ConfigError::new(
        "burst",
        quota.burst(),
        format!(
            "the count of {}, or no burst: a window admits its whole count at once",
            quota.count()
        ),
    ))
}
