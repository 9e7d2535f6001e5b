use std::{
    fmt,
    future::{Ready, ready},
    sync::Arc,
    time::Duration,
};

use buttress_core::{Digest, Random, Sleep};

use super::{Begun, Flavor, Judged, Outgoing, Told, sealed::Sealed};
use crate::{Cloned, Error, Judgment, Replay, Report, error::Failed};

type Classifier<Rsp, E> = Arc<dyn Fn(Result<&Rsp, &E>) -> Judgment + Send + Sync>;

/// For requests of any type: a closure says what a result means, and answers that are made here are [`Error`]s.
///
/// That a failure may be repeated is the closure's word: there is no method that would tell. A timeout counts as
/// [`Judgment::Transient`].
pub struct Typed<Rsp, E, P = Cloned> {
    classifier: Classifier<Rsp, E>,
    replay: P,
}

impl<Rsp, E> Typed<Rsp, E> {
    pub(crate) fn by(
        classifier: impl Fn(Result<&Rsp, &E>) -> Judgment + Send + Sync + 'static,
    ) -> Self {
        Self {
            classifier: Arc::new(classifier),
            replay: Cloned,
        }
    }
}

impl<Rsp, E, P> Typed<Rsp, E, P> {
    pub(crate) fn replay<Q>(self, replay: Q) -> Typed<Rsp, E, Q> {
        Typed {
            classifier: self.classifier,
            replay,
        }
    }
}

impl<Rsp, E, P> Sealed for Typed<Rsp, E, P> {}

impl<Req, Rsp, E, P> Outgoing<Req> for Typed<Rsp, E, P>
where
    P: Replay<Req>,
{
    type Attempt = P::Attempt;
    type Call = P::Kept;

    #[inline]
    fn begin(&self, request: Req, _random: &Random) -> Begun<P::Attempt, P::Kept> {
        let (attempt, call) = self.replay.keep(request);
        Begun {
            attempt,
            call,
            timeout: None,
        }
    }

    #[inline]
    fn prepare(&self, _kept: &P::Kept, _attempt: &mut P::Attempt, _told: Told) {}

    fn is_safe(&self, _kept: &P::Kept, _judgment: Judgment) -> bool {
        true
    }

    fn can_repeat(&self, kept: &P::Kept) -> bool {
        self.replay.can_repeat(kept)
    }

    fn again(&self, kept: &mut P::Kept) -> Option<P::Attempt> {
        self.replay.again(kept)
    }

    /// One upstream for all: there is no telling them apart.
    fn key(&self, _kept: &P::Kept) -> Digest {
        Digest::from_u128(0)
    }
}

impl<Req, Rsp, E, P> Flavor<Req, Rsp, E> for Typed<Rsp, E, P>
where
    P: Replay<Req>,
{
    type Response = Rsp;
    type Error = Error<E>;
    type Looking = Ready<(Rsp, Judgment)>;
    type Discarding = Ready<()>;

    #[inline]
    fn judge(&self, _kept: &P::Kept, answer: &Result<Rsp, Failed<E>>) -> Judged {
        Judged::Known(match answer {
            Ok(response) => (self.classifier)(Ok(response)),
            Err(Failed::Inner(error)) => (self.classifier)(Err(error)),
            Err(Failed::TimedOut | Failed::Parked(_)) => Judgment::TRANSIENT,
        })
    }

    fn is_refused_here(_response: &Rsp) -> bool {
        false
    }

    /// Never asked for: the classifier has seen the whole response.
    fn look(
        &self,
        _kept: &P::Kept,
        response: Rsp,
        _timer: &Arc<dyn Sleep>,
        _left: Duration,
    ) -> Self::Looking {
        ready((response, Judgment::Success))
    }

    #[inline]
    fn wrap(response: Rsp) -> Rsp {
        response
    }

    fn discard(
        &self,
        _kept: &P::Kept,
        response: Rsp,
        _timer: &Arc<dyn Sleep>,
        _left: Duration,
    ) -> Option<Ready<()>> {
        drop(response);
        None
    }

    fn finish(
        &self,
        _kept: &P::Kept,
        answer: Result<Rsp, Failed<E>>,
        report: Report,
        _tell: bool,
    ) -> Result<Rsp, Error<E>> {
        answer.map_err(|failed| match failed {
            Failed::Inner(error) => Error::Inner { error, report },
            Failed::TimedOut => Error::TimedOut { report },
            Failed::Parked(retry_after) => Error::Parked {
                retry_after,
                report,
            },
        })
    }

    #[inline]
    fn not_ready(error: E) -> Error<E> {
        Error::NotReady(error)
    }
}

impl<Rsp, E, P: Clone> Clone for Typed<Rsp, E, P> {
    // Derived, it would ask for `Rsp: Clone` and `E: Clone`, of which there is none in here.
    fn clone(&self) -> Self {
        Self {
            classifier: Arc::clone(&self.classifier),
            replay: self.replay.clone(),
        }
    }
}

impl<Rsp, E, P> fmt::Debug for Typed<Rsp, E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").finish_non_exhaustive()
    }
}
