//! Asking the origin whether a stored response is still right (RFC 9111 §4.3).

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        CACHE_CONTROL, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, PRAGMA,
        RANGE,
    },
};

use super::{
    Options, Part, RequestHead, StoredHead, Times,
    age::since,
    entity_tag, freshness,
    reuse::but_for_doubt,
    update::{Upkeep, freshen},
};

/// Makes a request that goes to the origin ask whether the stored response is still right (§4.3.1): its validators take
/// the place of the client's own, which are answered from what comes of it.
///
/// `false`, and nothing is changed, where it has none: then the client's own conditions, if any, go to the origin.
pub fn condition(stored: &StoredHead, request: &mut HeaderMap, now: SystemTime) -> bool {
    let tag = stored.entity_tag();
    let modified = stored
        .last_modified(now)
        .and_then(|_| stored.headers().get(LAST_MODIFIED));
    if tag.is_none() && modified.is_none() {
        return false;
    }
    request.remove(IF_NONE_MATCH);
    request.remove(IF_MODIFIED_SINCE);
    if let Some(tag) = tag {
        set(request, IF_NONE_MATCH, tag.clone());
    }
    if let Some(modified) = modified {
        set(request, IF_MODIFIED_SINCE, modified.clone());
    }
    true
}

/// Makes of a request that was answered from what is stored one of the cache's own, which asks for all that is stored:
/// what the client wanted less of, or otherwise, is none of it. To be [conditioned](condition) then.
pub fn detach(stored: &StoredHead, method: &mut Method, request: &mut HeaderMap) {
    *method = Method::GET;
    for name in [
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_RANGE,
        RANGE,
        CACHE_CONTROL,
        PRAGMA,
    ] {
        request.remove(name);
    }
    // Of something large there may be no more than a part, and no room for more.
    if let Some(range) = stored.range() {
        set(request, RANGE, range);
    }
}

/// Makes a request that goes to the origin ask for what a stored part lacks (§3.4), if the representation is still the
/// same. `false`, and nothing is changed, where that cannot be.
pub fn completion(stored: &StoredHead, request: &mut HeaderMap) -> bool {
    let (Some(range), Some(tag)) = (stored.missing(), stored.entity_tag()) else {
        return false;
    };
    let range = match range {
        (first, None) => format!("bytes={first}-"),
        (first, Some(last)) => format!("bytes={first}-{last}"),
    };
    let Ok(range) = HeaderValue::try_from(range) else {
        return false;
    };
    request.remove(IF_NONE_MATCH);
    request.remove(IF_MODIFIED_SINCE);
    set(request, RANGE, range);
    set(request, IF_RANGE, tag.clone());
    true
}

/// Sets a field. A request so full that there is no room for it goes without: then it asks for all there is.
fn set(request: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let _ = request.try_insert(name, value);
}

impl StoredHead {
    /// The Range that asks for a stored part again.
    fn range(&self) -> Option<HeaderValue> {
        let Part { first, last, .. } = self.part()?;
        match self.answered_range() {
            Some(range) => HeaderValue::from_bytes(range).ok(),
            None => HeaderValue::try_from(format!("bytes={first}-{last}")).ok(),
        }
    }

    /// The bytes before or after a stored part, up to the last one that is wanted; `None` where it lacks both, or is
    /// whole.
    fn missing(&self) -> Option<(u64, Option<u64>)> {
        let Part {
            first,
            last,
            complete,
        } = self.part()?;
        match (first.checked_sub(1), complete) {
            (None, _) => Some((last.checked_add(1)?, None)),
            (Some(before), Some(complete)) if last.checked_add(1) == Some(complete) => {
                Some((0, Some(before)))
            }
            _ => None,
        }
    }

    /// Whether the rest can be asked for, and put together with what is stored: only under a strong validator.
    pub(super) fn can_be_completed(&self) -> bool {
        self.missing().is_some() && self.entity_tag().is_some_and(entity_tag::is_strong)
    }
}

/// What the answer to a conditional request means (§4.3.3).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Validated {
    /// The stored response is still right: this head takes the place of its head, and the client is answered from it.
    #[non_exhaustive]
    Freshened {
        /// The new head.
        head: Box<StoredHead>,

        /// What becomes of what is stored: the answer might have brought `no-store`.
        upkeep: Upkeep,
    },

    /// The answer is the client's, and what is stored stays as it is: the origin fails, or refuses this client, or has
    /// answered to its Range alone.
    Forward,

    /// The answer is the client's, and takes the place of what is stored: if [`store`](super::store) refuses it, what is
    /// stored goes, too, where that [outdates](super::Refusal::outdates) it.
    Replace,

    /// The origin fails, and the client is answered from what is stored (RFC 5861 §4).
    Stale,

    /// The answer is about something that is not stored. The request goes forward again, without conditions; where
    /// that cannot be, what is stored may answer this once, but goes, without being freshened.
    Refetch,
}

/// Decides what the answer to a conditional request means. `request` is the client's.
///
/// To HEAD, an answer that is no 304 means what [`head_response`](super::head_response) says.
#[must_use]
pub fn validated(
    options: &Options,
    request: &RequestHead<'_>,
    stored: &StoredHead,
    status: StatusCode,
    headers: &HeaderMap,
    times: Times,
) -> Validated {
    let now = times.responded;
    if status == StatusCode::NOT_MODIFIED {
        return if !stored.has_validator(now) {
            // We set no condition, so the client did.
            Validated::Forward
        } else if is_about(stored, headers, now) {
            let freshened = freshen(options, request, stored, headers, times);
            Validated::Freshened {
                head: Box::new(freshened.head),
                upkeep: freshened.upkeep,
            }
        } else {
            Validated::Refetch
        };
    }
    if matches!(status.as_u16(), 500 | 502 | 503 | 504) {
        if but_for_doubt(options, request, stored, now) {
            return Validated::Stale;
        }
        let window = match (
            stored.directives().stale_if_error,
            request.directives().stale_if_error,
        ) {
            (None, Some(asked)) => Duration::from_secs(asked.into()),
            _ => stored.stale_if_error(options),
        };
        // Who reads along may want more than who asked.
        let serves = !window.is_zero() && stored.holds(request);
        if serves && may_be_stale(options, request, stored, window, now) {
            return Validated::Stale;
        }
    }
    // Nothing was asked about what is stored, so what a range is answered tells nothing of it: else whoever wants the
    // origin to be asked for a byte would put all of it out of the cache.
    let of_a_range = matches!(
        status,
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE
    );
    let is_unasked =
        stored.would_be_fresh(now) && stored.part().is_none() && !stored.has_validator(now);
    if of_a_range && is_unasked {
        return Validated::Forward;
    }
    // An error that is stored is no better than a new one.
    let has_better = stored.status().is_success() || stored.status().is_redirection();
    if has_better && is_of_the_moment(status) {
        return Validated::Forward;
    }
    match stored.holds(request) && request.selects() && *request.method() != Method::HEAD {
        true => Validated::Replace,
        false => Validated::Forward,
    }
}

/// A failure, or a refusal of this request, or of its sender, which says nothing of what is stored.
pub(crate) fn is_of_the_moment(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status.as_u16(),
            401 | 407 | 408 | 421 | 425 | 428 | 429 | 431
        )
}

/// What is done when the origin gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreachable {
    /// The client is answered from what is stored (§4.2.4).
    Stale,

    /// What is stored may not be used: 504.
    GatewayTimeout,
}

/// Decides what is done when the origin gives no answer to a request that was to validate a stored response.
#[must_use]
pub fn unreachable(
    options: &Options,
    request: &RequestHead<'_>,
    stored: &StoredHead,
    now: SystemTime,
) -> Unreachable {
    let window = stored.stale_if_unreachable(options);
    let may_be_stale = stored.holds(request) && may_be_stale(options, request, stored, window, now);
    match may_be_stale || but_for_doubt(options, request, stored, now) {
        true => Unreachable::Stale,
        false => Unreachable::GatewayTimeout,
    }
}

fn may_be_stale(
    options: &Options,
    request: &RequestHead<'_>,
    stored: &StoredHead,
    window: Duration,
    now: SystemTime,
) -> bool {
    !stored.forbids_stale(options)
        && !request.directives().no_cache
        && stored.staleness(now) <= window
}

/// Whether a 304 is about the stored response (§4.3.4): it names the same validator, or none.
fn is_about(stored: &StoredHead, headers: &HeaderMap, now: SystemTime) -> bool {
    if let Some(tag) = headers.get(ETAG) {
        return stored
            .entity_tag()
            .is_some_and(|ours| match entity_tag::is_strong(tag) {
                true => entity_tag::strongly_equal(tag, ours),
                false => entity_tag::weakly_equal(tag.as_bytes(), ours.as_bytes()),
            });
    }
    match (
        freshness::last_modified(headers, now),
        stored.last_modified(now),
    ) {
        (Some(theirs), Some(ours)) => since(theirs, ours) == since(ours, theirs),
        _ => true,
    }
}
