use std::{fmt, sync::Arc};

use buttress_core::ConfigError;

use crate::Limit;

/// A rule that settles one policy.
pub struct Settlement<R> {
    policy: Box<str>,
    rule: R,
}

impl<R> Settlement<R> {
    pub(super) fn of(policy: &str, rule: R) -> Self {
        Self {
            policy: policy.into(),
            rule,
        }
    }

    /// Finds its policy.
    pub(super) fn place(self, limits: &[Arc<Limit>]) -> Result<(usize, R), ConfigError> {
        let mut names = limits.iter().map(|limit| limit.name());
        match names.position(|name| name == &*self.policy) {
            Some(ordinal) => Ok((ordinal, self.rule)),
            None => Err(ConfigError::new(
                "settle.policy",
                &self.policy,
                "the name of one of the layer's policies that are enforced",
            )),
        }
    }
}

impl<R> fmt::Debug for Settlement<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settlement")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
