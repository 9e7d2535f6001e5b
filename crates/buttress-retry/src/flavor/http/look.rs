use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use buttress_core::{Sleep, clock::Sleeping};
use buttress_http::{BodyHints, RateLimitInfo, rate_limit_info::Source};
use bytes::Bytes;
use http::{Response, response::Parts};
use http_body::{Body, Frame};

use super::{Options, judge};
use crate::{
    Judgment,
    flavor::Looked,
    retry_body::{RetryBody, Seen},
};

/// Reads the beginning of a body, within bounds, to find out what its head does not tell; and puts it back.
pub struct Looking<B: Body> {
    parts: Option<Parts>,
    seen: Option<Seen<B>>,
    /// What may still be read.
    room: usize,
    timer: Sleeping,
    /// `None` once it was found.
    seek: Option<Seek>,
}

/// What is looked for.
pub(super) enum Seek {
    /// Which "too many" it is.
    Hints {
        info: RateLimitInfo,
        hints: BodyHints,
        within: Duration,
    },
    /// gRPC's status.
    Trailers {
        max_bytes: usize,
        within: Duration,
        options: Box<Options>,
    },
}

/// As there may be a million empty frames.
const LEAST_PER_FRAME: usize = 64;

impl<B: Body> Looking<B> {
    pub(super) fn into(
        response: Response<B>,
        seek: Seek,
        timer: &Arc<dyn Sleep>,
        left: Duration,
    ) -> Self {
        let (parts, body) = response.into_parts();
        let (room, within) = match &seek {
            Seek::Hints { within, .. } => (RateLimitInfo::MAX_BODY, *within),
            Seek::Trailers {
                max_bytes, within, ..
            } => (*max_bytes, *within),
        };
        Self {
            parts: Some(parts),
            seen: Some(Seen {
                frames: VecDeque::new(),
                rest: Some(Box::pin(body)),
            }),
            room,
            timer: timer.sleep(within.min(left)),
            seek: Some(seek),
        }
    }
}

impl<B> Looking<B>
where
    B: Body<Data = Bytes>,
{
    /// Reads on, until there is no more, or no more room or time.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(seen) = &mut self.seen else {
            return Poll::Ready(());
        };
        while self.room > 0
            && let Some(rest) = &mut seen.rest
        {
            let Poll::Ready(frame) = rest.as_mut().poll_frame(cx) else {
                return Pin::new(&mut self.timer).poll(cx);
            };
            match frame {
                Some(Ok(frame)) => {
                    let length = frame.data_ref().map_or(0, Bytes::len);
                    self.room = self.room.saturating_sub(length.max(LEAST_PER_FRAME));
                    let over = frame.is_trailers() || rest.is_end_stream();
                    seen.frames.push_back(Ok(frame));
                    if over {
                        break;
                    }
                }
                Some(Err(error)) => {
                    seen.frames.push_back(Err(error));
                    seen.rest = None;
                }
                None => seen.rest = None,
            }
        }
        Poll::Ready(())
    }
}

impl Seek {
    /// What was found, and whether the head told when to come back.
    fn judge<E>(
        self,
        parts: &mut Parts,
        frames: &VecDeque<Result<Frame<Bytes>, E>>,
    ) -> (Judgment, bool) {
        match self {
            Self::Hints { info, hints, .. } => {
                let info = info.with_body(&beginning(frames), &hints);
                let judgment = judge::of_info(&info, parts.status);
                let told_by_head = info.source() != Some(Source::Body);
                // So that whoever gets the response need not read it once more.
                parts.extensions.insert(info);
                (judgment, told_by_head)
            }
            Self::Trailers { options, .. } => {
                let last = frames.back().and_then(|frame| frame.as_ref().ok());
                let trailers = last.and_then(Frame::trailers_ref);
                // Cut off, or longer than one looks: it is handed on as it is.
                let judgment =
                    trailers.and_then(|trailers| options.status_of(parts.status, trailers));
                (judgment.unwrap_or(Judgment::Success), false)
            }
        }
    }
}

/// As much as is looked at, which is a copy only where it came in pieces.
fn beginning<E>(frames: &VecDeque<Result<Frame<Bytes>, E>>) -> Bytes {
    let mut data = frames
        .iter()
        .filter_map(|frame| frame.as_ref().ok()?.data_ref());
    let Some(first) = data.next() else {
        return Bytes::new();
    };
    let mut rest = data.peekable();
    if rest.peek().is_none() {
        return first.clone();
    }
    let mut all = first.to_vec();
    for data in rest {
        let room = RateLimitInfo::MAX_BODY.saturating_sub(all.len());
        all.extend_from_slice(data.get(..room).unwrap_or(data));
    }
    all.into()
}

impl<B> Future for Looking<B>
where
    B: Body<Data = Bytes>,
{
    type Output = Looked<Response<RetryBody<B>>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        ready!(this.poll_read(cx));
        // Polled again after it was ready, it has nothing to say, as the contract allows.
        let (Some(mut parts), Some(seen), Some(seek)) =
            (this.parts.take(), this.seen.take(), this.seek.take())
        else {
            return Poll::Pending;
        };
        let (judgment, told_by_head) = seek.judge(&mut parts, &seen.frames);
        Poll::Ready(Looked {
            response: Response::from_parts(parts, RetryBody::seen(seen)),
            judgment,
            told_by_head,
        })
    }
}

/// Nothing in it is pinned but behind a box.
impl<B: Body> Unpin for Looking<B> {}

impl<B: Body> fmt::Debug for Looking<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looking").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last frame may be as long as the sender likes.
    #[test]
    fn no_more_is_put_together_than_is_looked_at() {
        let seen = |lengths: &[usize]| {
            let frame = |&length: &usize| Ok::<_, ()>(Frame::data(Bytes::from(vec![b'x'; length])));
            beginning(&lengths.iter().map(frame).collect()).len()
        };
        assert_eq!(seen(&[]), 0);
        assert_eq!(seen(&[10, 20, 30]), 60);
        assert_eq!(seen(&[10, 1 << 20]), 4_096);
    }
}
