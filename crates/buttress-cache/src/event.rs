use std::time::Duration;

use http::StatusCode;

use crate::{
    rfc9111::{Forward, Refusal},
    store::StoreError,
};

/// What an observer hears of.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A request was answered from the store, and nothing was sent.
    #[non_exhaustive]
    Hit {
        /// How old what was served is.
        age: Duration,
        /// Whether it was no longer fresh: `stale-while-revalidate`, or the request's `max-stale`.
        stale: bool,
    },
    /// A request was sent on, or one of the cache's own: a validation in the background.
    #[non_exhaustive]
    Forwarded {
        /// Why.
        why: Forward,
    },
    /// A request was answered by the fetch that another had caused.
    Collapsed,
    /// A request that waited for another's fetch found it of no use, and was sent on.
    NotCollapsed,
    /// A request was sent on beside others like it, since answers to it were not stored of late: it waits for
    /// nobody, and nobody for it ([`hit_for_miss`](crate::CacheLayerBuilder::hit_for_miss)).
    HitForMiss,
    /// What is stored was validated by a 304, and is fresh again.
    Validated,
    /// The origin failed, and what is stored was served although it is stale.
    #[non_exhaustive]
    StaleOnFailure {
        /// Its answer, if there was one.
        status: Option<StatusCode>,
    },
    /// A request was answered with 504: with `only-if-cached` nothing was to be sent, or the origin could
    /// not be reached and what is stored must not be served stale.
    GatewayTimeout,
    /// A response was stored.
    #[non_exhaustive]
    Stored {
        /// Body, header fields and overhead.
        bytes: usize,
    },
    /// A response was not stored.
    #[non_exhaustive]
    NotStored {
        /// Why.
        why: NotStored,
    },
    /// What was stored for a target is gone: by an unsafe method, or by hand.
    Invalidated,
    /// What is stored for a target is validated before it is used again: an unsafe request ended without an answer.
    Suspected,
    /// The store could not be asked.
    #[non_exhaustive]
    StoreFailed {
        /// What it said.
        error: &'a StoreError,
    },
}

/// Why a response was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotStored {
    /// RFC 9111 forbids it, or what was configured.
    Rules(Refusal),
    /// The request names no target that could be a key.
    NoTarget,
    /// A refusal that was made on this side.
    LocalRefusal,
    /// A stream of events, which has no end.
    Stream,
    /// It is larger than the largest entry.
    TooLarge,
    /// Too many bytes are on their way into the store already.
    NoRoom,
    /// The body ended in an error, or contradicts its `Content-Length`.
    Incomplete,
    /// Everybody who waited for it has left.
    Deserted,
    /// Its target was invalidated while it was on its way.
    Outdated,
    /// The store did not take it.
    Store,
}
