use std::sync::Arc;

use http::StatusCode;

use crate::{flight, flights, rfc9111::StoredHead, store::Entry};

/// What everybody who waits for a fetch is told.
#[derive(Debug)]
pub(crate) enum News {
    /// A response begins, and its body is read from the seat. `length` bytes are known to come.
    Coming {
        head: Box<StoredHead>,
        length: Option<u64>,
    },
    /// All of it is there: it came at once, or what is stored was validated.
    Stored(Arc<Entry>),
    /// The origin failed, with this status or with none; this is stored, and stale.
    Failed {
        stored: Arc<Entry>,
        status: Option<StatusCode>,
    },
}

pub(crate) type Seat = flight::Seat<Arc<News>>;
pub(crate) type Lead = flights::Lead<Arc<News>>;
pub(crate) type Flights = flights::Flights<Arc<News>>;
