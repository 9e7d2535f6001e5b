use std::{
    error, fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};

/// The body of one attempt, see [`Buffered`](super::Buffered): first what was remembered, then what is still to come.
///
/// Length and end are right on every attempt, so that the `Content-Length` of a repeated request is. It is `Unpin`
/// whatever `B` is.
pub struct ReplayBody<B> {
    /// `None` for the empty body.
    shared: Option<Arc<Shared<B>>>,
    /// Which attempt it belongs to.
    attempt: u32,
}

/// The body of a request whose attempts share it.
pub(super) struct Shared<B>(Mutex<State<B>>);

struct State<B> {
    /// `None` once it has ended, well or not.
    source: Option<Pin<Box<B>>>,
    frames: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    /// What may still be remembered.
    room: usize,
    /// Something passed that is not remembered, or nothing need be any more, or the source failed.
    is_lost: bool,
    /// The attempt that reads; the others are over.
    attempt: u32,
    /// How many of the frames it was given.
    given: usize,
    trailers_given: bool,
    /// Who waits for the source, to be told when it is over: the source wakes only who asked last.
    waiting: Option<Waker>,
}

/// As a frame is more than its data, and a million empty ones must not be remembered for nothing.
const LEAST_PER_FRAME: usize = 64;

impl<B> Shared<B> {
    pub(super) fn remembering(body: B, cap: usize) -> Self
    where
        B: Body<Data = Bytes>,
    {
        // What is known to be too long is not remembered in the first place.
        let fits = usize::try_from(body.size_hint().lower()).is_ok_and(|length| length <= cap);
        Self(Mutex::new(State {
            source: Some(Box::pin(body)),
            frames: Vec::new(),
            trailers: None,
            room: if fits { cap } else { 0 },
            is_lost: false,
            attempt: 0,
            given: 0,
            trailers_given: false,
            waiting: None,
        }))
    }

    /// There will be no attempt after this one: what it was given is remembered no longer, and what is to come is not.
    pub(super) fn forget(&self) {
        // Polled just now, it stays as it is; to wait here for somebody's source would be worse.
        if let Ok(mut state) = self.0.try_lock() {
            state.is_lost = true;
            let given = std::mem::take(&mut state.given);
            // With the room that they took.
            state.frames = state.frames.split_off(given);
            if state.trailers_given {
                state.trailers = None;
            }
        }
    }

    /// Whether all of it that passed is remembered.
    pub(super) fn is_whole(&self) -> bool {
        // A source that panicked may go on anywhere.
        !self.0.is_poisoned() && !self.lock().is_lost
    }

    fn lock(&self) -> MutexGuard<'_, State<B>> {
        // Poisoned by a source that panicked, and with it the attempt that polled it: there is no other one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> ReplayBody<B> {
    pub(super) const fn empty() -> Self {
        Self {
            shared: None,
            attempt: 0,
        }
    }

    /// The body of a new attempt; the one before gives nothing any more.
    pub(super) fn next_of(shared: &Arc<Shared<B>>) -> Self {
        let (attempt, superseded) = {
            let mut state = shared.lock();
            state.attempt += 1;
            state.given = 0;
            state.trailers_given = false;
            (state.attempt, state.waiting.take())
        };
        if let Some(superseded) = superseded {
            superseded.wake();
        }
        Self {
            shared: Some(Arc::clone(shared)),
            attempt,
        }
    }

    /// What the source has, if it is this body's turn to know.
    fn state(&self) -> Option<MutexGuard<'_, State<B>>> {
        let state = self.shared.as_ref()?.lock();
        (state.attempt == self.attempt).then_some(state)
    }
}

impl<B> State<B>
where
    B: Body<Data = Bytes>,
{
    /// The next frame of those that are remembered.
    fn remembered(&mut self) -> Option<Frame<Bytes>> {
        if let Some(data) = self.frames.get_mut(self.given) {
            self.given += 1;
            let data = match self.is_lost {
                true => std::mem::take(data),
                false => data.clone(),
            };
            return Some(Frame::data(data));
        }
        let trailers = self.trailers.as_ref().filter(|_| !self.trailers_given)?;
        self.trailers_given = true;
        Some(Frame::trailers(trailers.clone()))
    }

    /// The next frame that no attempt has seen.
    fn poll_source(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = source.as_mut().poll_frame(cx) else {
            match &mut self.waiting {
                Some(waiting) => waiting.clone_from(cx.waker()),
                None => self.waiting = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        };
        match &frame {
            Some(Ok(frame)) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => self.remember(data),
                (None, Some(trailers)) => self.remember_trailers(trailers),
                (None, None) => self.lose(),
            },
            Some(Err(_)) => {
                self.source = None;
                self.lose();
            }
            None => self.source = None,
        }
        self.given = self.frames.len();
        self.trailers_given = self.trailers.is_some();
        Poll::Ready(frame)
    }

    fn remember(&mut self, data: &Bytes) {
        if !data.is_empty() && self.has_room_for(data.len()) {
            self.frames.push(data.clone());
        }
    }

    fn remember_trailers(&mut self, trailers: &HeaderMap) {
        let line = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
        if self.has_room_for(trailers.iter().map(line).sum()) {
            self.trailers = Some(trailers.clone());
        }
    }

    /// Takes the room of a frame, if there is enough; without it nothing is remembered any more.
    fn has_room_for(&mut self, bytes: usize) -> bool {
        match self.room.checked_sub(bytes.max(LEAST_PER_FRAME)) {
            Some(room) if !self.is_lost => {
                self.room = room;
                true
            }
            _ => {
                self.lose();
                false
            }
        }
    }

    /// The request will not be sent again: what was remembered of it, and given, is of no use.
    fn lose(&mut self) {
        self.is_lost = true;
        self.frames = Vec::new();
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = ReplayError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(shared) = &self.shared else {
            return Poll::Ready(None);
        };
        let mut state = shared.lock();
        if state.attempt != self.attempt {
            return Poll::Ready(Some(Err(ReplayError::Superseded)));
        }
        if let Some(frame) = state.remembered() {
            return Poll::Ready(Some(Ok(frame)));
        }
        let frame = ready!(state.poll_source(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(ReplayError::Source)))
    }

    fn is_end_stream(&self) -> bool {
        let Some(state) = self.state() else {
            return self.shared.is_none();
        };
        state.given >= state.frames.len()
            && (state.trailers.is_none() || state.trailers_given)
            && state
                .source
                .as_ref()
                .is_none_or(|source| source.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let Some(state) = self.state() else {
            // One that is over is not empty: it would be sent as a whole request without its body.
            return match self.shared {
                Some(_) => SizeHint::default(),
                None => SizeHint::with_exact(0),
            };
        };
        let remembered = state.frames.iter().skip(state.given);
        let remembered: u64 = remembered.map(|data| data.len() as u64).sum();
        let source = state.source.as_ref();
        let to_come = source.map_or(SizeHint::with_exact(0), |source| source.size_hint());
        let mut hint = SizeHint::new();
        let upper = to_come
            .upper()
            .and_then(|upper| upper.checked_add(remembered));
        hint.set_lower(to_come.lower().saturating_add(remembered));
        if let Some(upper) = upper {
            hint.set_upper(upper);
        }
        hint
    }
}

/// The empty body.
impl<B> Default for ReplayBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody")
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for Shared<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// The error of a [`ReplayBody`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError<E> {
    /// The user's body failed.
    Source(E),
    /// The attempt is over, and a further one reads the body: seen by a connection that still sends the request which
    /// it has answered.
    Superseded,
}

impl<E: fmt::Display> fmt::Display for ReplayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => write!(f, "the request's body failed: {error}"),
            Self::Superseded => f.write_str("a further attempt sends the request's body"),
        }
    }
}

/// For every error that can be shown: boxed errors are none themselves. So the source is part of the text.
impl<E: fmt::Debug + fmt::Display> error::Error for ReplayError<E> {}
