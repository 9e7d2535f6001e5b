use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{BodyError, news::Seat};

pin_project! {
    /// The body of a response that came through the cache.
    ///
    /// It is the inner service's own, untouched; or one that is being stored, and read by others too; or
    /// one from the store, whose bytes are shared and not copied.
    pub struct CacheBody<B>
    where
        B: Body,
    {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B>
    where
        B: Body,
    {
        // The way from its error to ours is kept as a function: were it a bound of `Body`, futures that
        // read bodies with boxed errors would be no longer `Send` (rust-lang/rust#100013).
        Inner { #[pin] body: B, error: fn(B::Error) -> BodyError },
        // Empty once it was handed out.
        Stored { bytes: Bytes },
        Read { seat: Seat, left: Option<u64> },
        // What is stored stands before or after it, and is empty once it was handed out.
        Joined {
            before: Bytes,
            #[pin] body: B,
            left: u64,
            // Whether the inner service's own has come to its end.
            ended: bool,
            after: Bytes,
            error: fn(B::Error) -> BodyError,
        },
    }
}

impl<B: Body> CacheBody<B> {
    /// The inner service's own.
    #[inline]
    pub(crate) fn inner(body: B) -> Self
    where
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        Self {
            kind: Kind::Inner {
                body,
                error: |error| BodyError::inner(error),
            },
        }
    }

    /// The inner service's own, by value.
    ///
    /// Who boxes bodies need not box around one that is boxed already.
    ///
    /// # Errors
    ///
    /// With this body, where it is stored, or is about to be.
    #[inline]
    pub fn into_inner(self) -> Result<B, Self> {
        match self.kind {
            Kind::Inner { body, .. } => Ok(body),
            kind => Err(Self { kind }),
        }
    }

    /// From the store.
    #[inline]
    pub(crate) const fn stored(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Stored { bytes },
        }
    }

    pub(crate) const fn empty() -> Self {
        Self::stored(Bytes::new())
    }

    /// Of the inner service's own, of which `length` bytes come, and of what is stored beside it.
    pub(crate) fn joined(before: Bytes, body: B, length: u64, after: Bytes) -> Self
    where
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        Self {
            kind: Kind::Joined {
                before,
                body,
                left: length,
                ended: false,
                after,
                error: |error| BodyError::inner(error),
            },
        }
    }

    /// Of a fetch that is under way, where `left` bytes are known to come.
    pub(crate) const fn read(seat: Seat, left: Option<u64>) -> Self {
        Self {
            kind: Kind::Read { seat, left },
        }
    }
}

/// The empty body.
impl<B: Body> Default for CacheBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<B> Body for CacheBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = BodyError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body, error } => body
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(error))),
            KindProjection::Stored { bytes } if bytes.is_empty() => Poll::Ready(None),
            KindProjection::Stored { bytes } => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            KindProjection::Read { seat, left } => {
                let frame = seat.poll_frame(cx);
                if let (Poll::Ready(Some(Ok(frame))), Some(left)) = (&frame, left)
                    && let Some(data) = frame.data_ref()
                {
                    *left = left.saturating_sub(data.len() as u64);
                }
                frame
            }
            KindProjection::Joined { before, .. } if !before.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(before)))))
            }
            KindProjection::Joined {
                mut body,
                left,
                ended,
                after,
                error,
                ..
            } if !*ended => loop {
                // To its end, though all that was said has come: more would stand where other bytes belong.
                let reason = match ready!(body.as_mut().poll_frame(cx)) {
                    None if *left == 0 => {
                        *ended = true;
                        let after = Some(std::mem::take(after)).filter(|after| !after.is_empty());
                        return Poll::Ready(after.map(|after| Ok(Frame::data(after))));
                    }
                    None => BodyError::unfinished(),
                    Some(Err(reason)) => error(reason),
                    Some(Ok(frame)) => {
                        match frame.into_data().map(|data| (data.len() as u64, data)) {
                            Ok((came, _)) if came > *left => BodyError::unfinished(),
                            Ok((came, data)) if came > 0 => {
                                *left -= came;
                                return Poll::Ready(Some(Ok(Frame::data(data))));
                            }
                            // What trailers say of the rest they do not say of the whole.
                            _ => continue,
                        }
                    }
                };
                // Nothing comes any more.
                (*left, *ended) = (0, true);
                after.clear();
                return Poll::Ready(Some(Err(reason)));
            },
            KindProjection::Joined { .. } => Poll::Ready(None),
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body, .. } => body.is_end_stream(),
            Kind::Stored { bytes } => bytes.is_empty(),
            Kind::Read { seat, .. } => seat.is_at_its_end(),
            Kind::Joined {
                before,
                body,
                left,
                ended,
                after,
                ..
            } => {
                let all_came = before.is_empty() && *left == 0 && after.is_empty();
                all_came && (*ended || body.is_end_stream())
            }
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body, .. } => body.size_hint(),
            Kind::Stored { bytes } => SizeHint::with_exact(bytes.len() as u64),
            Kind::Read { left, .. } => left.map_or_else(SizeHint::new, SizeHint::with_exact),
            Kind::Joined {
                before,
                left,
                after,
                ..
            } => SizeHint::with_exact(before.len() as u64 + left + after.len() as u64),
        }
    }
}

impl<B: Body> fmt::Debug for CacheBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Inner { .. } => "Inner",
            Kind::Stored { .. } => "Stored",
            Kind::Read { .. } => "Read",
            Kind::Joined { .. } => "Joined",
        };
        f.debug_tuple("CacheBody").field(&kind).finish()
    }
}
