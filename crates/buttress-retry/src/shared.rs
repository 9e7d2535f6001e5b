use std::fmt;

use crate::settings::Settings;

/// What all services of a layer share.
pub(crate) struct Shared<F> {
    pub(crate) settings: Settings,
    pub(crate) flavor: F,
}

impl<F> fmt::Debug for Shared<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}
