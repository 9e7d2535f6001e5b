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
