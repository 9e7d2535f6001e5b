use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a response: the inner service's, one whose beginning was looked at, or one that was made here.
    ///
    /// Frames pass as they come, and those that were looked at as they came. Size hint, end of stream, errors and
    /// trailers are the inner body's.
    pub struct RetryBody<B>
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
        Inner { #[pin] body: B },
        Seen { seen: Seen<B> },
        // Empty once it was handed out.
        Made { bytes: Bytes },
    }
}

/// A body whose first frames were taken out of it.
pub(crate) struct Seen<B: Body> {
    pub(crate) frames: VecDeque<Result<Frame<Bytes>, B::Error>>,
    /// `None` at its end, and where it broke off.
    pub(crate) rest: Option<Pin<Box<B>>>,
}

impl<B: Body> RetryBody<B> {
    pub(crate) fn inner(body: B) -> Self {
        Self {
            kind: Kind::Inner { body },
        }
    }

    /// The inner service's own, by value.
    ///
    /// Who boxes bodies need not box around one that is boxed already.
    ///
    /// # Errors
    ///
    /// With this body, where its beginning was looked at, or it was made here.
    #[inline]
    pub fn into_inner(self) -> Result<B, Self> {
        match self.kind {
            Kind::Inner { body } => Ok(body),
            kind => Err(Self { kind }),
        }
    }

    pub(crate) fn seen(seen: Seen<B>) -> Self {
        Self {
            kind: Kind::Seen { seen },
        }
    }

    pub(crate) fn made(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Made { bytes },
        }
    }
}

impl<B> Body for RetryBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body } => body.poll_frame(cx),
            KindProjection::Seen { seen } => seen.poll_frame(cx),
            KindProjection::Made { bytes } if bytes.is_empty() => Poll::Ready(None),
            KindProjection::Made { bytes } => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Seen { seen } => {
                let rest = seen.rest.as_ref();
                seen.frames.is_empty() && rest.is_none_or(|rest| rest.is_end_stream())
            }
            Kind::Made { bytes } => bytes.is_empty(),
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Seen { seen } => seen.size_hint(),
            Kind::Made { bytes } => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

impl<B> Seen<B>
where
    B: Body<Data = Bytes>,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(frame));
        }
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let frame = ready!(rest.as_mut().poll_frame(cx));
        if frame.is_none() {
            self.rest = None;
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        let data = |frame: &Result<Frame<Bytes>, B::Error>| {
            let data = frame.as_ref().ok().and_then(Frame::data_ref);
            data.map_or(0, |data| data.len() as u64)
        };
        let seen: u64 = self.frames.iter().map(data).sum();
        let rest = self.rest.as_ref();
        let rest = rest.map_or(SizeHint::with_exact(0), |rest| rest.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(seen));
        // Of a body that broke off nobody knows how long it would have been: told a length, a server would send what came
        // of it as the whole.
        let is_whole = self.frames.iter().all(Result::is_ok);
        let upper = rest.upper().filter(|_| is_whole);
        let upper = upper.and_then(|upper| upper.checked_add(seen));
        if let Some(upper) = upper {
            hint.set_upper(upper);
        }
        hint
    }
}

/// The empty body.
impl<B: Body> Default for RetryBody<B> {
    fn default() -> Self {
        Self::made(Bytes::new())
    }
}

impl<B: Body> fmt::Debug for RetryBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::Inner { .. } => "RetryBody::Inner",
            Kind::Seen { .. } => "RetryBody::Seen",
            Kind::Made { .. } => "RetryBody::Made",
        })
    }
}
