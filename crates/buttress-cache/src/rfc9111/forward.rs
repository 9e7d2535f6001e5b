use std::fmt;

/// Why a request went forward to the origin: the `fwd` of RFC 9211 §2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Forward {
    /// The cache was told not to handle it.
    Bypass,

    /// Its method must be.
    Method,

    /// Nothing is stored for its URI.
    UriMiss,

    /// Something is stored for its URI, but its Vary does not match.
    VaryMiss,

    /// Nothing is stored that could be used.
    Miss,

    /// What is stored is fresh, but the request wants more.
    Request,

    /// What is stored is stale, or must always be validated.
    Stale,

    /// What is stored does not hold all that is asked for.
    Partial,
}

impl Forward {
    /// The token of RFC 9211.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
