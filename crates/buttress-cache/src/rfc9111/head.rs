//! What an answer to HEAD tells of a stored answer to GET (RFC 9111 §4.3.5).

use http::{HeaderMap, Method, StatusCode, header::ETAG};

use super::{
    Options, RequestHead, StoredHead, Times, freshness,
    stored::content_length,
    update::{Freshened, Upkeep, freshen},
};

/// What becomes of a stored answer to GET.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HeadEffect {
    /// It is still right: this head takes the place of its head.
    Update(Box<StoredHead>),

    /// It is outdated: [`StoredHead::mark_stale`].
    Stale,

    /// Nothing.
    Nothing,
}

/// Decides what an answer to HEAD makes of a stored answer to GET that the request matches. `body_length` is the stored
/// body's.
#[must_use]
pub fn head_response(
    options: &Options,
    request: &RequestHead<'_>,
    stored: &StoredHead,
    body_length: u64,
    status: StatusCode,
    headers: &HeaderMap,
    times: Times,
) -> HeadEffect {
    let both_ok = status == StatusCode::OK
        && matches!(
            stored.status(),
            StatusCode::OK | StatusCode::PARTIAL_CONTENT
        );
    if *request.method() != Method::HEAD || !both_ok || !stored.matches(request) {
        return HeadEffect::Nothing;
    }
    let now = times.responded;
    let tag = headers
        .get(ETAG)
        .is_none_or(|tag| Some(tag) == stored.entity_tag());
    let modified = freshness::last_modified(headers, now)
        .is_none_or(|modified| Some(modified) == stored.last_modified(now));
    let whole = match stored.part() {
        None => Some(body_length),
        Some(part) => part.complete,
    };
    let length =
        content_length(headers).is_none_or(|length| whole.is_none_or(|whole| whole == length));
    if !(tag && modified && length) {
        return HeadEffect::Stale;
    }
    // What there is a doubt about needs more than that nothing speaks against it.
    let has_validator =
        headers.contains_key(ETAG) || freshness::last_modified(headers, now).is_some();
    if stored.is_doubted() && !has_validator {
        return HeadEffect::Nothing;
    }
    let Freshened { head, upkeep } = freshen(options, request, stored, headers, times);
    match upkeep {
        Upkeep::Update => HeadEffect::Update(Box::new(head)),
        Upkeep::Leave => HeadEffect::Nothing,
        Upkeep::Remove => HeadEffect::Stale,
    }
}
