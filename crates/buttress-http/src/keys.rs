//! Keys that HTTP requests bring along: extractors for limits, circuits and budgets.
//!
//! | extractor | the key | missing where |
//! |---|---|---|
//! | [`ClientIp`](crate::ClientIp) | the client's network | nobody told the peer's address |
//! | [`Header`] | a header's value, as it is | it is absent, or given twice |
//! | [`ApiKey`] | a header's value, as a secret | the same |
//! | [`BearerToken`] | the token of `Authorization: Bearer`, as a secret | the same, or another scheme |
//! | [`Method`] | the method | |
//! | [`Path`] | the path, without the query | |
//! | [`Authority`] | whom the request is for: the target's authority, or `Host` | there is neither, or `Host` twice |
//! | `Route` (feature `axum`) | the matched route, such as `/users/{id}` | no route matched |
//!
//! Anything else is a closure ([`key_from`](buttress_core::key_from)), and a tuple of extractors is one.
//! Secrets are hashed like everything else, and never shown in a label.
//!
//! ```
//! use buttress_core::{ExtractKey, KeyWriter, View};
//! use buttress_http::{Head, keys};
//!
//! let request = http::Request::get("/reports/7")
//!     .header("x-tenant", "acme")
//!     .header("authorization", "Bearer sk-live-123")
//!     .body(())?;
//! let who = (keys::Header::named("x-tenant")?, keys::BearerToken, keys::Path);
//! let label = KeyWriter::label(|key| who.extract(Head::of(&request), key))?;
//! assert_eq!(label, "acme/***//reports/7");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authority;
mod header;
#[cfg(feature = "axum")]
mod route;
mod secret;
mod target;
#[cfg(test)]
mod tests;

#[cfg(feature = "axum")]
pub use self::route::Route;
pub use self::{
    authority::Authority,
    header::{ApiKey, BearerToken, Header},
    secret::Secret,
    target::{Method, Path},
};
