use std::{fmt, sync::Arc, time::Duration};

use buttress_core::{ExtractKey, Observer};
use buttress_http::Head;

use crate::Event;

/// What a layer was told, apart from the rules of RFC 9111.
pub(crate) struct Settings {
    pub(crate) name: Box<str>,
    pub(crate) scheme: Box<str>,
    pub(crate) largest: usize,
    pub(crate) on_disconnect: OnDisconnect,
    pub(crate) collapse_wait: Duration,
    pub(crate) patience: Duration,
    pub(crate) background: Duration,
    pub(crate) partition: Option<Arc<dyn ExtractKey<Head>>>,
    pub(crate) bypass: Option<Arc<Bypass>>,
    pub(crate) observer: Option<Arc<SharedObserver>>,
}

pub(crate) type Bypass = dyn Fn(&Head) -> bool + Send + Sync;
pub(crate) type SharedObserver = dyn for<'a> Observer<Event<'a>>;

/// What becomes of a fetch when everybody who waited for it has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDisconnect {
    /// It is given up, and nothing is stored.
    Abort,
    /// It goes on, so that the next one who asks finds it in the store.
    Finish {
        /// For so long after the last one has left.
        within: Duration,
    },
}

impl OnDisconnect {
    pub(crate) const fn grace(self) -> Option<Duration> {
        match self {
            Self::Abort => None,
            Self::Finish { within } => Some(within),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("scheme", &self.scheme)
            .field("largest", &self.largest)
            .field("on_disconnect", &self.on_disconnect)
            .field("collapse_wait", &self.collapse_wait)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
