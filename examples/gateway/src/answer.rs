//! An upstream's answer, made ours to send.

use axum::response::Response;
use http::Version;
use intermediary::hop_by_hop;

use crate::{failure::Failure, via};

/// An answer that is none of a tunnel.
///
/// One that switches protocols is none here: nobody asked for it, and the client would wait for ever.
pub(crate) fn relay(answer: Response) -> Result<Response, Failure> {
    if answer.status().is_informational() {
        return Err(Failure::Unasked);
    }
    Ok(our_own(answer))
}

/// Takes the fields for one hop away, and adds `Via`.
pub(crate) fn our_own(mut answer: Response) -> Response {
    let received = answer.version();
    hop_by_hop::strip(answer.headers_mut());
    via::append(answer.headers_mut(), received);
    // The version is the connection's affair, not the message's.
    *answer.version_mut() = Version::default();
    answer
}
