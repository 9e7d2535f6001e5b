use std::{fmt, net::SocketAddr};

use buttress_core::View;
use http::{Extensions, HeaderMap, Method, Request, Uri, Version, request::Parts};
use ref_cast::{RefCastCustom, ref_cast_custom};

use crate::peer_addr;

/// What is read of an HTTP request: everything but its body, borrowed from the request itself.
///
/// Closures that take a key, a cost or a quota from a request are written
/// `|head: &Head| head.uri().path().len()`. Layers borrow it by [`View`]; a `&Request<B>` and a `&Parts`
/// also turn [into](From) a `&Head`, for who has an extractor and calls it by hand.
///
/// ```
/// use buttress_core::View;
/// use buttress_http::Head;
///
/// let request = http::Request::get("/search?q=1").body("a body")?;
/// assert_eq!(Head::of(&request).uri().path(), "/search");
///
/// let (parts, _) = request.into_parts();
/// assert_eq!(<&Head>::from(&parts).uri().path(), "/search");
/// # Ok::<(), http::Error>(())
/// ```
///
/// A request type of your own that has an HTTP request inside is read by the same keys if it lends that:
///
/// ```
/// use buttress_core::View;
/// use buttress_http::Head;
///
/// struct Tagged { request: http::Request<()>, tag: u8 }
///
/// impl View<Tagged> for Head {
///     fn of(tagged: &Tagged) -> &Head {
///         Head::of(&tagged.request)
///     }
/// }
///
/// let tagged = Tagged { request: http::Request::get("/inside").body(())?, tag: 1 };
/// assert_eq!(Head::of(&tagged).uri().path(), "/inside");
/// # let _ = tagged.tag;
/// # Ok::<(), http::Error>(())
/// ```
// `http::Request` lends its `Parts` to nobody, and they are 224 bytes to move out and back. A trait object
// reads them where they are: each method that is called is one indirect jump.
//
// It is wrapped, and not an alias of `dyn Lend`, because a trait object has a lifetime, which the compiler
// forgets where it looks into an async block: "implementation of `View` is not general enough" is what users
// would be told who spawn a call. A struct without parameters has nothing to forget.
#[derive(RefCastCustom)]
#[repr(transparent)]
pub struct Head(dyn Lend);

/// Who has a head to lend.
trait Lend {
    fn method(&self) -> &Method;
    fn uri(&self) -> &Uri;
    fn version(&self) -> Version;
    fn headers(&self) -> &HeaderMap;
    fn extensions(&self) -> &Extensions;
}

impl Head {
    #[ref_cast_custom]
    fn wrap<'a>(lender: &'a (dyn Lend + 'static)) -> &'a Self;

    /// The method.
    #[inline]
    #[must_use]
    pub fn method(&self) -> &Method {
        self.0.method()
    }

    /// The target, as it arrived here: a router may already have taken a prefix off its path.
    #[inline]
    #[must_use]
    pub fn uri(&self) -> &Uri {
        self.0.uri()
    }

    /// The protocol's version.
    #[inline]
    #[must_use]
    pub fn version(&self) -> Version {
        self.0.version()
    }

    /// The header fields.
    #[inline]
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// What the layers further out and the server attached.
    #[inline]
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        self.0.extensions()
    }
}

impl<B: 'static> View<Request<B>> for Head {
    #[inline]
    fn of(request: &Request<B>) -> &Self {
        Self::wrap(request)
    }

    #[inline]
    fn peer(request: &Request<B>) -> Option<SocketAddr> {
        peer_addr(request.extensions())
    }

    #[inline]
    fn attach<X: Clone + Send + Sync + 'static>(request: &mut Request<B>, value: X) {
        request.extensions_mut().insert(value);
    }
}

impl<'a, B: 'static> From<&'a Request<B>> for &'a Head {
    #[inline]
    fn from(request: &'a Request<B>) -> Self {
        Head::wrap(request)
    }
}

impl<'a> From<&'a Parts> for &'a Head {
    #[inline]
    fn from(parts: &'a Parts) -> Self {
        Head::wrap(parts)
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", self.method())
            .field("uri", self.uri())
            .field("version", &self.version())
            .field("headers", self.headers())
            .finish_non_exhaustive()
    }
}

impl<B> Lend for Request<B> {
    fn method(&self) -> &Method {
        self.method()
    }

    fn uri(&self) -> &Uri {
        self.uri()
    }

    fn version(&self) -> Version {
        self.version()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn extensions(&self) -> &Extensions {
        self.extensions()
    }
}

impl Lend for Parts {
    fn method(&self) -> &Method {
        &self.method
    }

    fn uri(&self) -> &Uri {
        &self.uri
    }

    fn version(&self) -> Version {
        self.version
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PeerAddr;

    fn request() -> Request<Vec<u8>> {
        Request::post("https://example.com/a?b=c")
            .version(Version::HTTP_2)
            .header("x-one", "1")
            .extension(7_u8)
            .body(vec![1, 2, 3])
            .unwrap()
    }

    #[test]
    fn a_request_and_its_parts_are_read_alike() {
        fn check(head: &Head) {
            assert_eq!(head.method(), Method::POST);
            assert_eq!(head.uri(), "https://example.com/a?b=c");
            assert_eq!(head.version(), Version::HTTP_2);
            assert_eq!(head.headers()["x-one"], "1");
            assert_eq!(head.extensions().get(), Some(&7_u8));
        }

        let request = request();
        check(Head::of(&request));
        check((&request).into());
        check((&request.into_parts().0).into());
    }

    #[test]
    fn what_is_read_is_borrowed_from_the_request_itself() {
        let request = request();
        assert!(std::ptr::eq(
            Head::of(&request).headers(),
            request.headers()
        ));
    }

    #[test]
    fn what_is_attached_is_an_extension() {
        let mut request = request();
        <Head as View<Request<Vec<u8>>>>::attach(&mut request, "attached");
        assert_eq!(request.extensions().get(), Some(&"attached"));
        assert_eq!(request.extensions().get(), Some(&7_u8));
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.body(), &[1, 2, 3]);
    }

    #[test]
    fn the_peer_is_read_of_the_request_as_of_its_head() {
        let mut request = request();
        assert_eq!(<Head as View<Request<_>>>::peer(&request), None);
        let peer = SocketAddr::from(([192, 0, 2, 1], 4_000));
        request.extensions_mut().insert(PeerAddr(peer));
        assert_eq!(Head::peer(&request), Some(peer));
        assert_eq!(peer_addr(Head::of(&request).extensions()), Some(peer));
    }

    #[test]
    fn debug_shows_all_but_body_and_extensions() {
        assert_eq!(
            format!("{:?}", Head::of(&request())),
            "Head { method: POST, uri: https://example.com/a?b=c, version: HTTP/2.0, \
             headers: {\"x-one\": \"1\"}, .. }"
        );
    }
}
