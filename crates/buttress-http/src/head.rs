use buttress_core::View;
use http::{Extensions, HeaderMap, Method, Request, Uri, Version, request::Parts};

/// What is read of an HTTP request: everything but its body.
///
/// It is ours, so that `Head` can be the [`View`] of every `http::Request<B>`, whatever `B` is.
///
/// ```
/// use buttress_core::View;
/// use buttress_http::Head;
///
/// let request = http::Request::get("/search?q=1").body("a body").unwrap();
/// let (request, path) = Head::view(request, |head: &Head| head.uri().path().to_owned());
/// assert_eq!((path.as_str(), request.into_body()), ("/search", "a body"));
/// ```
#[derive(Clone, Debug)]
pub struct Head(Parts);

impl Head {
    /// The method.
    #[inline]
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.0.method
    }

    /// The target, as it arrived here: a router may already have taken a prefix off its path.
    #[inline]
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// The protocol's version.
    #[inline]
    #[must_use]
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// The header fields.
    #[inline]
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// What the layers further out and the server attached.
    #[inline]
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// All of it, as the `http` crate calls it.
    #[inline]
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.0
    }

    /// All of it, by value.
    #[inline]
    #[must_use]
    pub fn into_parts(self) -> Parts {
        self.0
    }
}

impl From<Parts> for Head {
    #[inline]
    fn from(parts: Parts) -> Self {
        Self(parts)
    }
}

impl AsRef<Parts> for Head {
    #[inline]
    fn as_ref(&self) -> &Parts {
        &self.0
    }
}

impl<B> View<Request<B>> for Head {
    #[inline]
    fn view<O>(request: Request<B>, read: impl FnOnce(&Self) -> O) -> (Request<B>, O) {
        let (parts, body) = request.into_parts();
        let head = Self(parts);
        let out = read(&head);
        (Request::from_parts(head.0, body), out)
    }

    #[inline]
    fn attach<X: Clone + Send + Sync + 'static>(request: &mut Request<B>, value: X) {
        request.extensions_mut().insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back_as_it_went() {
        let request = Request::post("https://example.com/a?b=c")
            .version(Version::HTTP_2)
            .header("x-one", "1")
            .extension(7_u8)
            .body(vec![1, 2, 3])
            .unwrap();
        let (mut request, seen) = Head::view(request, |head: &Head| {
            assert_eq!(head.parts().uri, *head.uri());
            (
                head.method().clone(),
                head.uri().to_string(),
                head.version(),
                head.headers()["x-one"].clone(),
                head.extensions().get::<u8>().copied(),
            )
        });
        assert_eq!(
            seen,
            (
                Method::POST,
                "https://example.com/a?b=c".to_owned(),
                Version::HTTP_2,
                "1".parse().unwrap(),
                Some(7)
            )
        );
        <Head as View<Request<Vec<u8>>>>::attach(&mut request, "attached");
        assert_eq!(request.extensions().get(), Some(&"attached"));
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.body(), &[1, 2, 3]);
    }
}
