//! The Cache-Control field (RFC 9111 §5.2).

mod directive;
mod request;
mod response;

pub use request::{MaxStale, RequestDirectives};
pub use response::ResponseDirectives;

pub(super) use directive::delta_seconds;
