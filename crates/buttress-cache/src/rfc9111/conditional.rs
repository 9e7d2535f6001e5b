//! Conditions of the client that a stored response answers (RFC 9111 §4.3.2).

use std::time::SystemTime;

use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};

use super::{RequestHead, StoredHead, entity_tag, freshness};

/// Whether the client has what is stored. If-None-Match goes before If-Modified-Since (RFC 9110 §13.2.2); only what
/// would be a success has conditions (§13.2.1).
pub(super) fn is_not_modified(
    request: &RequestHead<'_>,
    stored: &StoredHead,
    now: SystemTime,
) -> bool {
    let fields = request.fields();
    if !(fields.if_none_match || fields.if_modified_since) || !stored.status().is_success() {
        return false;
    }
    if fields.if_none_match {
        let lines = request.headers().get_all(IF_NONE_MATCH);
        return entity_tag::listed(stored.entity_tag(), lines.iter());
    }
    // What cannot be read, or is there twice, is ignored (§13.1.3).
    let Some(since) = freshness::field(request.headers(), IF_MODIFIED_SINCE, now) else {
        return false;
    };
    // Where it is not known when it was modified, it was no later than it was made.
    stored.last_modified(now).unwrap_or(stored.date()) <= since
}
