use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a response that is either the inner service's or was made here.
    ///
    /// It asks nothing of the inner body but `Data = Bytes`: no `From<Bytes>`, which hyper's `Incoming`
    /// lacks, and no common error type. Size hint, end of stream, errors and trailers are the inner
    /// body's.
    ///
    /// ```
    /// use buttress_http::ResponseBody;
    /// use http_body::Body as _;
    ///
    /// // As gRPC's Trailers-Only responses need it: an empty body is known to be at its end.
    /// let refused = ResponseBody::<String>::empty();
    /// assert!(refused.is_end_stream());
    ///
    /// let explained = ResponseBody::<String>::full("too many requests");
    /// assert_eq!(explained.size_hint().exact(), Some(17));
    /// ```
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<B> {
        Inner { #[pin] body: B },
        // Empty once it was handed out.
        Full { bytes: Bytes },
    }
}

impl<B> ResponseBody<B> {
    /// The inner service's body.
    #[inline]
    pub const fn inner(body: B) -> Self {
        Self {
            kind: Kind::Inner { body },
        }
    }

    /// The inner service's body, unless this one was made here.
    #[must_use]
    pub const fn get_mut(&mut self) -> Option<&mut B> {
        match &mut self.kind {
            Kind::Inner { body } => Some(body),
            Kind::Full { .. } => None,
        }
    }

    /// The inner service's body, by value.
    ///
    /// Who boxes bodies need not box around one that is boxed already.
    ///
    /// # Errors
    ///
    /// With this body, where it was made here.
    #[inline]
    pub fn into_inner(self) -> Result<B, Self> {
        match self.kind {
            Kind::Inner { body } => Ok(body),
            kind @ Kind::Full { .. } => Err(Self { kind }),
        }
    }

    /// A body made here, in one piece.
    #[inline]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self {
            kind: Kind::Full {
                bytes: bytes.into(),
            },
        }
    }

    /// No body, at its end from the start.
    #[inline]
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            kind: Kind::Full {
                bytes: Bytes::new(),
            },
        }
    }
}

/// The empty body.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body } => body.poll_frame(cx),
            KindProjection::Full { bytes } if bytes.is_empty() => Poll::Ready(None),
            KindProjection::Full { bytes } => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Full { bytes } => bytes.is_empty(),
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Full { bytes } => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    /// Says more than it has, so that what is forwarded can be told from what is made up.
    struct Odd(Vec<Result<Frame<Bytes>, &'static str>>);

    impl Body for Odd {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready(self.0.pop())
        }

        fn is_end_stream(&self) -> bool {
            self.0.len() == 1
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(1_000 + self.0.len() as u64)
        }
    }

    #[tokio::test]
    async fn the_inner_body_is_forwarded() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, "\"a\"".parse().unwrap())]);
        let mut body = ResponseBody::inner(Odd(vec![
            Err("broken off"),
            Ok(Frame::trailers(trailers.clone())),
            Ok(Frame::data(Bytes::from_static(b"data"))),
        ]));
        assert_eq!(body.size_hint().exact(), Some(1_003));
        assert!(!body.is_end_stream());

        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "data");
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_trailers().unwrap(), trailers);
        assert!(body.is_end_stream());
        assert_eq!(body.frame().await.unwrap().unwrap_err(), "broken off");
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_full_body_is_one_piece() {
        let mut body = ResponseBody::<Full<Bytes>>::full("refused");
        assert_eq!(body.size_hint().exact(), Some(7));
        assert!(!body.is_end_stream());
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "refused");
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(body.frame().await.is_none());
    }

    /// Or a Trailers-Only response would not be one.
    #[tokio::test]
    async fn an_empty_body_is_at_its_end() {
        for mut body in [
            ResponseBody::<Full<Bytes>>::empty(),
            ResponseBody::full(""),
            ResponseBody::default(),
        ] {
            assert!(body.is_end_stream());
            assert_eq!(body.size_hint().exact(), Some(0));
            assert!(body.frame().await.is_none());
        }
    }

    #[test]
    fn the_inner_body_comes_out_again() {
        let body = ResponseBody::inner("a".to_owned());
        assert_eq!(body.into_inner().unwrap(), "a");
        let body = ResponseBody::<String>::full("refused");
        let body = body.into_inner().unwrap_err();
        assert_eq!(body.size_hint().exact(), Some(7));
    }

    #[test]
    fn is_unpin_where_the_inner_body_is() {
        fn unpin<T: Unpin>() {}
        unpin::<ResponseBody<Full<Bytes>>>();
    }
}
