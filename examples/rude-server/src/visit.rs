use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

/// A request that came, and what became of it.
#[derive(Clone, Debug)]
pub struct Visit {
    /// When it came, since the server started.
    pub at: Duration,

    /// Its method.
    pub method: Method,

    /// Its header fields.
    pub headers: HeaderMap,

    /// The first KiB of its body.
    pub body: Bytes,

    /// What became of it.
    pub answered: Answered,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answered {
    /// It was treated as the manner has it.
    Rudely,

    /// It was served.
    Served,
}
