use std::time::Duration;

use http::HeaderName;

use super::FieldPattern;

/// What RFC 9111 leaves to the cache.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Whether more than one user is served: `private` and Authorization then forbid storing, and `s-maxage` and
    /// `proxy-revalidate` apply.
    pub shared: bool,

    /// How long a response that does not say is taken for fresh. `None`: not at all.
    pub heuristic: Option<Heuristic>,

    /// Fields that take the place of Cache-Control and Expires (RFC 9213), the most specific first.
    pub targeted: Vec<HeaderName>,

    /// What becomes of a response that sets cookies.
    pub set_cookie: SetCookie,

    /// For how long a response that does not say may be used while it is validated in the background (RFC 5861 §3).
    pub stale_while_revalidate: Duration,

    /// For how long a response that does not say may be used when the origin answers 500, 502, 503 or 504 (RFC 5861
    /// §4).
    pub stale_if_error: Duration,

    /// For how long a response that does not say may be used when the origin cannot be reached (RFC 9111 §4.2.4).
    pub stale_if_unreachable: Duration,

    /// Response fields that are handed on, but not kept.
    pub never_stored: Vec<FieldPattern>,
}

impl Options {
    /// A cache that serves several users: a proxy, a gateway, a server's own.
    #[must_use]
    pub fn shared() -> Self {
        Self {
            shared: true,
            heuristic: Some(Heuristic::default()),
            targeted: Vec::new(),
            set_cookie: SetCookie::Refuse,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            stale_if_unreachable: Duration::MAX,
            never_stored: FieldPattern::rate_limits(),
        }
    }

    /// A cache that serves one user, within a client.
    #[must_use]
    pub fn private() -> Self {
        Self {
            shared: false,
            set_cookie: SetCookie::Store,
            ..Self::shared()
        }
    }
}

/// Heuristic freshness (RFC 9111 §4.2.2): a share of the time for which the response had not been modified.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Heuristic {
    /// The share, of Date − Last-Modified. RFC 9111 suggests 0.1. What is not a positive number counts as 0 here;
    /// [`CacheLayerBuilder::build`](crate::CacheLayerBuilder::build) takes nothing but shares above 0, and 1 at most.
    pub fraction: f64,

    /// The most that is assumed.
    pub max: Duration,
}

impl Heuristic {
    /// A share of Date − Last-Modified, and the most that is assumed.
    #[must_use]
    pub const fn new(fraction: f64, max: Duration) -> Self {
        Self { fraction, max }
    }
}

/// A tenth, and a day at most.
impl Default for Heuristic {
    fn default() -> Self {
        Self::new(0.1, Duration::from_secs(24 * 60 * 60))
    }
}

/// What becomes of a response with a Set-Cookie field.
///
/// RFC 9111 §7.3 lets it be stored. But a shared cache that hands one user's cookie to the next gives a session away,
/// and an origin that wants the response shared can leave the cookie out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetCookie {
    /// It is not stored.
    Refuse,

    /// It is stored without its Set-Cookie fields.
    Strip,

    /// It is stored whole.
    Store,
}
