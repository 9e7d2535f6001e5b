use std::sync::Arc;

use bytes::Bytes;
use http_body::Body;

use super::{Replay, ReplayBody, body::Shared};

/// Lets a body stream through at once, and remembers what passed.
///
/// The first attempt is never held up, and never fails for it: a body that outgrows the cap streams on, and the request
/// is simply not retried. What the first attempt had not read when it was answered is read by the next one, from the
/// same source. Trailers are remembered, too.
///
/// An empty body costs nothing; another one an allocation or two, and no copy: what is remembered is shared with what
/// was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffered {
    cap: usize,
}

impl Buffered {
    /// Remembers at most `bytes` of a body, trailers included. A frame counts as 64 bytes at least.
    #[must_use]
    pub const fn up_to(bytes: usize) -> Self {
        Self { cap: bytes }
    }
}

/// 64 KiB.
impl Default for Buffered {
    fn default() -> Self {
        Self::up_to(64 * 1_024)
    }
}

/// What [`Buffered`] keeps of a body.
#[derive(Debug)]
pub struct Kept<B>(Option<Arc<Shared<B>>>);

/// With the call: a body that goes on beyond the head of its answer, as that of a call in both directions may for hours, is
/// remembered for nobody.
impl<B> Drop for Kept<B> {
    fn drop(&mut self) {
        // Mostly the body was sent, and is gone.
        if let Some(shared) = self.0.take()
            && Arc::strong_count(&shared) > 1
        {
            shared.forget();
        }
    }
}

impl<B> Replay<B> for Buffered
where
    B: Body<Data = Bytes>,
{
    type Attempt = ReplayBody<B>;
    type Kept = Kept<B>;

    #[inline]
    fn keep(&self, body: B) -> (ReplayBody<B>, Kept<B>) {
        if body.is_end_stream() {
            return (ReplayBody::empty(), Kept(None));
        }
        let shared = Arc::new(Shared::remembering(body, self.cap));
        (ReplayBody::next_of(&shared), Kept(Some(shared)))
    }

    fn can_repeat(&self, Kept(shared): &Kept<B>) -> bool {
        shared.as_ref().is_none_or(|shared| shared.is_whole())
    }

    fn again(&self, kept: &mut Kept<B>) -> Option<ReplayBody<B>> {
        let Some(shared) = &kept.0 else {
            return Some(ReplayBody::empty());
        };
        let next = ReplayBody::next_of(shared);
        // Asked after the attempt before was cut off: it can make nothing more pass.
        shared.is_whole().then_some(next)
    }

    fn last(&self, kept: &mut Kept<B>) -> Option<ReplayBody<B>> {
        let last = self.again(kept)?;
        if let Some(shared) = &kept.0 {
            shared.forget();
        }
        Some(last)
    }
}
