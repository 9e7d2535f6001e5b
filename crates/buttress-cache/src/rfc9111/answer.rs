//! What a client gets of a stored response.

use std::time::SystemTime;

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, DATE, ETAG, EXPIRES,
        LAST_MODIFIED, VARY,
    },
};

use super::{
    RequestHead, Slice, StoredHead,
    age::age_value,
    conditional::is_not_modified,
    range::{Part, Resolved, if_range_holds},
};

/// What a client gets of a stored response. To HEAD it is the same without a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The stored status, fields and body.
    Stored,

    /// 304: the client has it (RFC 9111 §4.3.2).
    NotModified,

    /// 206: a part of the body (RFC 9110 §15.3.7).
    Part(Slice),

    /// 416: the range lies outside of the representation (RFC 9110 §15.5.17).
    NotSatisfiable {
        /// The representation's length.
        complete: u64,
    },
}

/// Decides what the client gets of a stored response that answers. `body_length` is the stored body's.
#[must_use]
pub fn answer(
    request: &RequestHead<'_>,
    stored: &StoredHead,
    body_length: u64,
    now: SystemTime,
) -> Answer {
    if is_not_modified(request, stored, now) {
        return Answer::NotModified;
    }
    let Some(range) = request.range() else {
        return Answer::Stored;
    };
    if !if_range_holds(request.headers(), stored, now) {
        return Answer::Stored;
    }
    let (first, last, held) = match stored.part() {
        Some(part) => match range.within(&part) {
            Some((first, last)) => (first, last, part),
            // The origin's own answer to this range.
            None => return Answer::Stored,
        },
        None if stored.status() == StatusCode::OK => match range.resolve(body_length) {
            Resolved::Part { first, last } => {
                let all = Part {
                    first: 0,
                    last: body_length.saturating_sub(1),
                    complete: Some(body_length),
                };
                (first, last, all)
            }
            Resolved::Whole => return Answer::Stored,
            Resolved::Unsatisfiable => {
                return Answer::NotSatisfiable {
                    complete: body_length,
                };
            }
        },
        // Range would not have been heeded (RFC 9110 §14.2).
        None => return Answer::Stored,
    };
    let slice = Slice {
        offset: first.saturating_sub(held.first),
        length: last.saturating_sub(first).saturating_add(1),
        part: Part {
            first,
            last,
            complete: held.complete,
        },
    };
    // A body that is shorter than its head says would have been refused; should one come back from a store all the
    // same, no part of it is made up.
    match slice.offset.saturating_add(slice.length) <= body_length {
        true => Answer::Part(slice),
        false => Answer::Stored,
    }
}

/// The status and all fields of the answer, Age among them.
#[must_use]
pub fn answer_head(
    answer: &Answer,
    stored: &StoredHead,
    now: SystemTime,
) -> (StatusCode, HeaderMap) {
    let (status, mut headers) = match answer {
        Answer::Stored => (stored.status(), stored.headers().clone()),
        Answer::NotModified => (StatusCode::NOT_MODIFIED, not_modified(stored.headers())),
        Answer::Part(slice) => {
            let mut headers = stored.headers().clone();
            headers.insert(CONTENT_RANGE, slice.part.content_range());
            headers.insert(CONTENT_LENGTH, HeaderValue::from(slice.length));
            (StatusCode::PARTIAL_CONTENT, headers)
        }
        Answer::NotSatisfiable { complete } => {
            let range = HeaderValue::try_from(format!("bytes */{complete}"));
            let mut headers = HeaderMap::with_capacity(4);
            headers.extend(range.map(|range| (CONTENT_RANGE, range)));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            return (StatusCode::RANGE_NOT_SATISFIABLE, headers);
        }
    };
    headers.insert(AGE, age_value(stored.age(now)));
    (status, headers)
}

/// The fields that a 304 must have, if the 200 would have had them (RFC 9110 §15.4.5), and, where there is no entity
/// tag, the date by which the client finds what it has.
fn not_modified(stored: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    let tagged = stored.contains_key(ETAG);
    for name in [
        CACHE_CONTROL,
        CONTENT_LOCATION,
        DATE,
        ETAG,
        EXPIRES,
        VARY,
        LAST_MODIFIED,
    ] {
        if name != LAST_MODIFIED || !tagged {
            for value in stored.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
    }
    // What targets a cache further on guides its updates as Cache-Control does (RFC 9213 §2.1).
    let targeted = |name: &&HeaderName| name.as_str().ends_with("-cache-control");
    for name in stored.keys().filter(targeted) {
        for value in stored.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// What a client gets that wants nothing but what is stored, or for whom the origin had to be asked and is gone: a 504
/// (RFC 9111 §5.2.1.7, §5.2.2.2) that nobody is to store.
#[must_use]
pub fn gateway_timeout() -> (StatusCode, HeaderMap) {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    (StatusCode::GATEWAY_TIMEOUT, headers)
}
