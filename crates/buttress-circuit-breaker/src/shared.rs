use std::{fmt, sync::Arc};

use crate::{
    Refused,
    circuit::{Circuit, Ticket},
    settings::Settings,
};

/// What all handles, services and permits of one circuit breaker share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) only: Circuit,
}

impl Shared {
    pub(crate) fn of(settings: Settings) -> Arc<Self> {
        let only = Circuit::closed(&settings);
        Arc::new(Self { settings, only })
    }

    #[inline]
    pub(crate) fn admit(&self) -> Result<Ticket, Refused> {
        self.only.admit(&self.settings)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("name", &self.settings.name)
            .field("trip", &self.settings.trip)
            .field("state", &self.only.state())
            .finish_non_exhaustive()
    }
}
