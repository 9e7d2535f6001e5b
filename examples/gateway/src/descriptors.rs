//! How many files this process may have open, of which each connection is one.

use crate::config::Config;

/// As many as the system grants. What a shell starts with is often 1,024, for programs of old that could not count further.
///
/// Returns how many that are; `None` where the system does not say.
#[must_use]
pub fn raise() -> Option<u64> {
    rlimit::increase_nofile_limit(u64::MAX).ok()
}

/// Tells where `config` allows more connections than there are descriptors for: then these run out first, and what cannot be
/// opened is the connections to upstreams, too.
pub fn check(available: Option<u64>, config: &Config) {
    let needed = 2 * config.connections as u64;
    if let Some(available) = available.filter(|available| *available < needed) {
        tracing::warn!(
            "this process may have {available} files open, and {} connections take up to {needed}: \
             raise `ulimit -n`, or lower `connections`",
            config.connections
        );
    }
}
