use http::{Extensions, HeaderMap, Method, Request, Uri};

use crate::rfc9111::{Read, RequestHead, Target};

/// What is kept of a request while its answer is on its way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// As the client sent it.
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    read: Read,
}

impl Asked {
    pub(crate) fn of<A>(request: &Request<A>) -> Self {
        let head = RequestHead::new(request.method(), request.headers());
        Self::known(request, head.read())
    }

    /// The same of a request whose fields were read before.
    pub(crate) fn known<A>(request: &Request<A>, read: Read) -> Self {
        Self {
            method: request.method().clone(),
            uri: original(request.uri(), request.extensions()).clone(),
            headers: request.headers().clone(),
            read,
        }
    }

    pub(crate) fn head(&self) -> RequestHead<'_> {
        RequestHead::known(&self.method, &self.headers, self.read)
    }

    pub(crate) fn target<'a>(&'a self, scheme: &'a str) -> Option<Target<'a>> {
        Target::of(scheme, &self.uri, &self.headers)
    }
}

/// The target as the client sent it: axum's `nest` takes a prefix off the one that inner layers see, so
/// that two routes would share a key.
#[cfg(feature = "axum")]
#[inline]
pub(crate) fn original<'a>(uri: &'a Uri, extensions: &'a Extensions) -> &'a Uri {
    extensions
        .get::<axum::extract::OriginalUri>()
        .map_or(uri, |original| &original.0)
}

/// The target.
#[cfg(not(feature = "axum"))]
#[inline]
pub(crate) fn original<'a>(uri: &'a Uri, _: &'a Extensions) -> &'a Uri {
    uri
}
