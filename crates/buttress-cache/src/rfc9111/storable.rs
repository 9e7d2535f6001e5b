//! Whether a response is kept (RFC 9111 §3).

use http::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_LOCATION, CONTENT_TYPE},
};

use super::{
    Options, Part, RequestHead, ResponseDirectives, SetCookie, StoredHead, Target, Times, fields,
    freshness::Governing,
    vary::{Unusable, Vary},
};

/// Whether a response is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Store {
    /// It is, if its body comes to a good end: ask [`StoredHead::complete`] then.
    Keep(Box<StoredHead>),

    /// It is not.
    Refuse(Refusal),
}

/// Why a response is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The request's method does not allow it. POST does, for a success with explicit freshness whose Content-Location
    /// is its target (RFC 9110 §8.7, §9.3.3).
    Method,

    /// The status is none of a final answer of its own: 1xx, 304, 412, 416.
    Status,

    /// The status is 428, 429, 431 or 511, which no cache may store (RFC 6585).
    NeverStored,

    /// The request has `no-store`.
    RequestNoStore,

    /// The response has `no-store`.
    NoStore,

    /// The response has `private`, and the cache is shared.
    Private,

    /// The request has Authorization, the cache is shared, and nothing in the response allows it.
    Authorization,

    /// The response has `must-understand`, and the status is not understood.
    NotUnderstood,

    /// The response sets a cookie, see [`SetCookie`].
    SetCookie,

    /// The response varies by what is no header field.
    VaryAny,

    /// The response varies by more fields, or longer ones, than are kept.
    VaryTooLong,

    /// The response has more than 1024 lines of fields.
    TooManyFields,

    /// A part that cannot be used: none was asked for, or it is not one range of bytes.
    Partial,

    /// Neither the response nor its status says that it may be.
    NotCacheable,

    /// It could never be used: it is not fresh, and there is nothing by which to validate it.
    Useless,
}

impl Refusal {
    /// Whether a refused answer outdates what is stored for its request. One that was refused for what its request
    /// brought along does not: nobody may put anything out of the cache by asking so.
    #[must_use]
    pub const fn outdates(self) -> bool {
        !matches!(self, Self::RequestNoStore | Self::Authorization)
    }
}

/// Decides whether a response is kept. The request is as it was sent to the origin: what was added on the way counts.
#[must_use]
pub fn store(
    options: &Options,
    request: &RequestHead<'_>,
    target: &Target<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    times: Times,
) -> Store {
    let target = || Some(*target);
    match to_keep(options, request, target, status, headers, times) {
        Ok(head) => Store::Keep(head),
        Err(refusal) => Store::Refuse(refusal),
    }
}

/// The same; `target` is asked for only where something depends on it.
pub(crate) fn to_keep<'a>(
    options: &Options,
    request: &RequestHead<'_>,
    target: impl FnOnce() -> Option<Target<'a>>,
    status: StatusCode,
    headers: &HeaderMap,
    times: Times,
) -> Result<Box<StoredHead>, Refusal> {
    if forbids_by_method(request.method(), headers) {
        return Err(Refusal::Method);
    }
    let governing = Governing::read(options, headers);
    let directives = &governing.directives;
    let is_explicit = || governing.is_explicit(options, headers);

    match *request.method() {
        Method::GET => {}
        // That of an error says nothing of its target.
        Method::POST
            if status.is_success() && is_explicit() && is_of_its_target(target, headers) => {}
        _ => return Err(Refusal::Method),
    }
    if is_about_something_else(status) {
        return Err(Refusal::Status);
    }
    if is_never_stored(status) {
        return Err(Refusal::NeverStored);
    }
    if request.directives().no_store {
        return Err(Refusal::RequestNoStore);
    }
    if let Some(refusal) = forbids(options, directives, status) {
        return Err(refusal);
    }
    if options.shared && request.fields().authorization && !directives.allows_authorization() {
        return Err(Refusal::Authorization);
    }
    if fields::are_too_many(headers) {
        return Err(Refusal::TooManyFields);
    }
    if options.set_cookie == SetCookie::Refuse && fields::sets_cookie(headers) {
        return Err(Refusal::SetCookie);
    }
    if status == StatusCode::PARTIAL_CONTENT && !is_usable_part(request, headers) {
        return Err(Refusal::Partial);
    }
    let explicit = is_explicit();
    let allowed = explicit
        || directives.public
        || (directives.private && !options.shared)
        || is_heuristically_cacheable(status);
    if !allowed {
        return Err(Refusal::NotCacheable);
    }

    let vary = Vary::read(headers, request.headers()).map_err(|unusable| match unusable {
        Unusable::Any => Refusal::VaryAny,
        Unusable::TooLong => Refusal::VaryTooLong,
    })?;
    let head = StoredHead::keep(options, request, &governing, vary, status, headers, times);
    let never_used = head.directives().no_cache || (!explicit && head.lifetime().is_zero());
    match never_used && !head.has_validator(times.responded) {
        true => Err(Refusal::Useless),
        false => Ok(Box::new(head)),
    }
}

/// Whether the method forbids it, whatever else is said. Nearly every answer to anything but GET is refused for this,
/// which takes no more than one look.
pub(crate) fn forbids_by_method(method: &Method, headers: &HeaderMap) -> bool {
    match *method {
        Method::GET => false,
        Method::POST => !headers.contains_key(CONTENT_LOCATION),
        _ => true,
    }
}

/// What a response's directives forbid, whatever its request.
pub(super) fn forbids(
    options: &Options,
    directives: &ResponseDirectives,
    status: StatusCode,
) -> Option<Refusal> {
    if directives.must_understand {
        if !is_understood(status) {
            return Some(Refusal::NotUnderstood);
        }
    } else if directives.no_store {
        return Some(Refusal::NoStore);
    }
    (options.shared && directives.private).then_some(Refusal::Private)
}

/// Not a final answer, or one to a condition or a range instead of to the request's target.
fn is_about_something_else(status: StatusCode) -> bool {
    status.is_informational()
        || matches!(
            status,
            StatusCode::NOT_MODIFIED
                | StatusCode::PRECONDITION_FAILED
                | StatusCode::RANGE_NOT_SATISFIABLE
        )
}

/// RFC 6585 §3 to §6.
fn is_never_stored(status: StatusCode) -> bool {
    matches!(status.as_u16(), 428 | 429 | 431 | 511)
}

/// Heuristically cacheable by its definition (RFC 9110 §15.1).
pub(super) fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// Whether this cache conforms to what the status asks of caches (RFC 9111 §5.2.2.3): those of RFC 9110 that are final.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=206 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505
    )
}

/// A POST's response that is what a GET of the same target would get.
fn is_of_its_target<'a>(target: impl FnOnce() -> Option<Target<'a>>, headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(CONTENT_LOCATION).iter();
    match (lines.next(), lines.next()) {
        (Some(location), None) => target().is_some_and(|target| target.is_meant_by(location)),
        _ => false,
    }
}

fn is_usable_part(request: &RequestHead<'_>, headers: &HeaderMap) -> bool {
    let multipart = headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.get(..20)
            .is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/byteranges"))
    });
    request.range().is_some() && !multipart && Part::read(headers).is_some()
}
