use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use buttress_core::{Sleep, clock::Sleeping};
use bytes::Bytes;
use http::Response;
use http_body::Body;

use crate::RetryBody;

/// How much of a rejected response is read, and for how long, so that its connection can be used again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiscardLimits {
    pub(crate) bytes: usize,
    pub(crate) within: Duration,
}

/// A connection costs a round trip or three: that, and what a window of TCP's start holds, is what one is worth.
impl Default for DiscardLimits {
    fn default() -> Self {
        Self {
            bytes: 16 * 1_024,
            within: Duration::from_millis(50),
        }
    }
}

/// As there may be a million empty frames.
const LEAST_PER_FRAME: usize = 64;

impl DiscardLimits {
    /// `None` where there is nothing to read, or too much: then it is dropped at once.
    pub(super) fn of<B>(
        self,
        response: Response<RetryBody<B>>,
        timer: &Arc<dyn Sleep>,
        left: impl FnOnce() -> Duration,
    ) -> Option<Discarding<B>>
    where
        B: Body<Data = Bytes>,
    {
        let body = response.into_body();
        // The usual refusal has none, and costs nothing more.
        if body.is_end_stream() || self.bytes == 0 {
            return None;
        }
        let fits = usize::try_from(body.size_hint().lower()).is_ok_and(|left| left <= self.bytes);
        if !fits {
            return None;
        }
        Some(Discarding {
            body: Box::pin(body),
            room: self.bytes,
            timer: timer.sleep(self.within.min(left())),
        })
    }
}

/// Reads a rejected response to its end, within bounds.
pub struct Discarding<B: Body> {
    body: Pin<Box<RetryBody<B>>>,
    room: usize,
    timer: Sleeping,
}

impl<B> Future for Discarding<B>
where
    B: Body<Data = Bytes>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            match this.body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let length = frame.data_ref().map_or(0, Bytes::len).max(LEAST_PER_FRAME);
                    match this.room.checked_sub(length) {
                        Some(room) => this.room = room,
                        None => return Poll::Ready(()),
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => return Pin::new(&mut this.timer).poll(cx),
            }
        }
    }
}

impl<B: Body> fmt::Debug for Discarding<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discarding").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use buttress_core::clock::TokioClock;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn discarding<B: Body<Data = Bytes>>(limits: DiscardLimits, body: B) -> Option<Discarding<B>> {
        let timer: Arc<dyn Sleep> = Arc::new(TokioClock::default());
        let response = Response::new(RetryBody::inner(body));
        limits.of(response, &timer, || Duration::MAX)
    }

    #[tokio::test]
    async fn what_is_known_to_be_too_long_is_not_begun() {
        let of_length = |length| {
            let body = Full::new(Bytes::from(vec![b'x'; length]));
            discarding(DiscardLimits::default(), body)
        };
        assert!(of_length(0).is_none(), "there is nothing to read");
        assert!(of_length(16 * 1_024).is_some());
        assert!(of_length(16 * 1_024 + 1).is_none());
        let none = DiscardLimits {
            bytes: 0,
            ..DiscardLimits::default()
        };
        assert!(
            discarding(
                none,
                StreamBody::new(tokio_stream::iter([Ok::<_, ()>(Frame::data(Bytes::new()))]))
            )
            .is_none()
        );
    }

    /// As there may be a million of them.
    #[tokio::test]
    async fn small_frames_are_not_read_for_nothing() {
        let mut read = 0;
        let frames = (0..1_000).map(|_| {
            read += 1;
            Ok::<_, ()>(Frame::data(Bytes::from_static(b"x")))
        });
        let body = StreamBody::new(tokio_stream::iter(frames));
        let discarding = discarding(DiscardLimits::default(), body);
        discarding.expect("it may be short").await;
        assert_eq!(read, 257);
    }
}
