//! What an answer outdates (RFC 9111 §4.4).

use http::{
    HeaderMap, Method, StatusCode, Uri,
    header::{CONTENT_LOCATION, LOCATION},
};

use super::{Target, reference::resolve};

/// Whether what is stored for a request's target is outdated by the answer: its method is unsafe, or unknown, and the
/// answer is no error.
#[must_use]
pub fn invalidate(method: &Method, status: StatusCode) -> bool {
    !is_safe(method) && (status.is_success() || status.is_redirection())
}

/// Whether a gateway says that it got no answer, or none that it could use, so that nobody knows what became of the
/// request (RFC 9110 §15.6.3, §15.6.5).
pub(crate) fn is_unknown(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
    )
}

/// Whether an answer names targets, its own or others. Few do, and who is not named need not be compared with anybody.
pub(crate) fn names_targets(headers: &HeaderMap) -> bool {
    headers.contains_key(LOCATION) || headers.contains_key(CONTENT_LOCATION)
}

/// The further URIs that such an answer outdates: those in its Location and Content-Location, if they have the target's
/// origin. Elsewhere an origin may outdate nothing, or anyone could empty the cache of anyone.
pub fn invalidated_uris(target: &Target<'_>, headers: &HeaderMap) -> impl Iterator<Item = Uri> {
    [LOCATION, CONTENT_LOCATION]
        .into_iter()
        .filter_map(move |name| resolve(target, headers.get(name)?.to_str().ok()?))
        .filter(|uri| Target::of_uri(uri).is_some_and(|meant| meant.has_origin_of(target)))
}

/// Safe by RFC 9110 §9.2.1, or by the registry of methods.
fn is_safe(method: &Method) -> bool {
    matches!(
        method.as_str(),
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "REPORT" | "SEARCH" | "QUERY"
    )
}
