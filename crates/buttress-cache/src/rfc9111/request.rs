use http::{HeaderMap, HeaderValue, Method};

use super::{Forward, RequestDirectives, list::trim, range::ByteRange};

/// What the cache reads of a request: its method and its fields, gone through once.
#[derive(Clone, Debug)]
pub struct RequestHead<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    read: Read,
}

/// What was read of a request's fields, to be kept beside them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Read {
    directives: RequestDirectives,
    fields: Fields,
}

/// Which of the fields that matter are there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    pub(super) authorization: bool,
    pub(super) if_none_match: bool,
    pub(super) if_modified_since: bool,
    pub(super) range: bool,
    precondition: bool,
    upgrade: bool,
    method_override: bool,
    for_one_hop: bool,
}

impl<'a> RequestHead<'a> {
    /// Goes through the fields. It allocates nothing.
    #[must_use]
    pub fn new(method: &'a Method, headers: &'a HeaderMap) -> Self {
        let mut fields = Fields::default();
        let mut directs = false;
        for (name, value) in headers {
            match name.as_str() {
                "cache-control" | "pragma" => directs = true,
                "connection" => fields.for_one_hop |= names_fields(value, headers),
                "authorization" => fields.authorization = true,
                "if-none-match" => fields.if_none_match = true,
                "if-modified-since" => fields.if_modified_since = true,
                "range" => fields.range = true,
                "if-match" | "if-unmodified-since" => fields.precondition = true,
                "upgrade" => fields.upgrade = true,
                "x-http-method-override" | "x-http-method" | "x-method-override" => {
                    fields.method_override = true;
                }
                _ => {}
            }
        }
        let directives = match directs {
            true => RequestDirectives::read(headers),
            false => RequestDirectives::default(),
        };
        Self::known(method, headers, Read { directives, fields })
    }

    /// The same, of fields that were read before.
    pub(crate) const fn known(method: &'a Method, headers: &'a HeaderMap, read: Read) -> Self {
        Self {
            method,
            headers,
            read,
        }
    }

    /// What was read.
    pub(crate) const fn read(&self) -> Read {
        self.read
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The fields.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// What its Cache-Control asks for.
    #[must_use]
    pub fn directives(&self) -> &RequestDirectives {
        &self.read.directives
    }

    pub(super) fn fields(&self) -> Fields {
        self.read.fields
    }

    /// Whether it has Authorization.
    pub(crate) fn has_credentials(&self) -> bool {
        self.read.fields.authorization
    }

    /// GET or HEAD: what a stored response to GET can answer.
    pub(super) fn selects(&self) -> bool {
        matches!(*self.method, Method::GET | Method::HEAD)
    }

    /// Whether it is a GET without demands of its own, whose answer others would get, too.
    pub(crate) fn is_plain(&self) -> bool {
        let fields = self.read.fields;
        *self.method == Method::GET
            && !(fields.range || fields.if_none_match || fields.if_modified_since)
            && self.read.directives == RequestDirectives::default()
    }

    /// The range of bytes that it asks for. Range is defined for GET only (RFC 9110 §14.2).
    pub(super) fn range(&self) -> Option<ByteRange> {
        match self.read.fields.range && *self.method == Method::GET {
            true => ByteRange::read(self.headers),
            false => None,
        }
    }
}

/// Whether the store is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// It is asked.
    Lookup,

    /// The request goes forward as it is.
    Pass(Pass),
}

/// Why a request goes forward as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pass {
    /// Its method is not one that a stored response answers. The response may still be stored, and may invalidate.
    Method,

    /// A GET or HEAD with content, which is no part of the key: nothing is stored of it.
    Content,

    /// A field asks the origin to take it for another method: nothing is stored of it.
    MethodOverride,

    /// Its Connection names fields of its own: whoever forwards it takes these away (RFC 9110 §7.6.1), so that it is not
    /// certain by which of them, or for which Host, the answer is chosen. Nothing is stored of it.
    Connection,

    /// It wants to leave HTTP: nothing is stored of it.
    Upgrade,

    /// It has If-Match or If-Unmodified-Since, which the origin is to evaluate (RFC 9110 §13.1): nothing is stored of
    /// it.
    Precondition,
}

impl Pass {
    /// How Cache-Status tells it.
    #[must_use]
    pub const fn forward(self) -> Forward {
        match self {
            Self::Method => Forward::Method,
            _ => Forward::Bypass,
        }
    }
}

/// Decides whether the store is asked. `has_content` is whether the request has a body that is not empty, or may have.
#[must_use]
pub fn admit(request: &RequestHead<'_>, has_content: bool) -> Admission {
    let Fields {
        precondition,
        upgrade,
        method_override,
        for_one_hop,
        ..
    } = request.fields();
    if upgrade || *request.method == Method::CONNECT {
        Admission::Pass(Pass::Upgrade)
    } else if method_override {
        Admission::Pass(Pass::MethodOverride)
    } else if for_one_hop {
        Admission::Pass(Pass::Connection)
    } else if !request.selects() {
        Admission::Pass(Pass::Method)
    } else if has_content {
        Admission::Pass(Pass::Content)
    } else if precondition {
        Admission::Pass(Pass::Precondition)
    } else {
        Admission::Lookup
    }
}

/// Whether the request may wait for the answer to another one that is under way for the same key, in the hope that it
/// can be used for both (RFC 9111 §4).
///
/// What has a Range or `no-store` is left out: the one may get what the other cannot use, and the other may not leave
/// its answer to anyone. So is `no-cache`, which must go to the origin after it was asked.
#[must_use]
pub fn may_collapse(request: &RequestHead<'_>) -> bool {
    *request.method == Method::GET
        && !request.fields().range
        && !request.directives().no_cache
        && !request.directives().no_store
}

/// Whether a line of Connection names fields that are there, besides those that are of the connection anyhow.
fn names_fields(line: &HeaderValue, headers: &HeaderMap) -> bool {
    const OPTIONS: [&[u8]; 8] = [
        b"keep-alive",
        b"close",
        b"te",
        b"upgrade",
        b"http2-settings",
        b"proxy-connection",
        b"trailer",
        b"transfer-encoding",
    ];
    let is_option = |name: &[u8]| {
        let mut options = OPTIONS.iter();
        options.any(|option| name.eq_ignore_ascii_case(option))
    };
    // A quote is no part of a name, and hides no comma from whoever takes away what is named.
    let mut names = line.as_bytes().split(|byte| *byte == b',').map(trim);
    // Nearly all of them are one option, which is not looked for a second time.
    !is_option(line.as_bytes())
        && names.any(|name| {
            let name = (!is_option(name)).then(|| std::str::from_utf8(name));
            matches!(name, Some(Ok(name)) if headers.contains_key(name))
        })
}
