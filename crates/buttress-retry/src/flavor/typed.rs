use std::{
    fmt,
    future::{Ready, ready},
    sync::Arc,
    time::Duration,
};

use buttress_core::{Digest, DigestKey, ExtractKey, KeyWriter, MissingKey, Random, Sleep};

use super::{Flavor, Judged, Looked, Outgoing, Told, sealed::Sealed};
use crate::{Cloned, Error, Judgment, Replay, Report, error::Failed};

type Classifier<Rsp, E> = Arc<dyn Fn(Result<&Rsp, &E>) -> Judgment + Send + Sync>;

/// For requests of any type: a closure says what a result means, and answers that are made here are [`Error`]s.
///
/// That a failure may be repeated is the closure's word: there is no method that would tell. A timeout counts as
/// [`Judgment::Transient`].
///
/// `P` sends requests again, `K` says whom a "too many" is about.
pub struct Typed<Rsp, E, P = Cloned, K = OneUpstream> {
    classifier: Classifier<Rsp, E>,
    replay: P,
    /// `None` where that is everybody.
    park_by: Option<ParkBy<K>>,
}

#[derive(Clone)]
struct ParkBy<K> {
    key: K,
    secret: DigestKey,
}

/// All requests go to one upstream: there is no telling them apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneUpstream;

impl<T: ?Sized> ExtractKey<T> for OneUpstream {
    fn extract(&self, _from: &T, _key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        Ok(())
    }
}

/// Of requests that are not told apart.
const EVERYBODY: Digest = Digest::from_u128(0);

impl<Rsp, E> Typed<Rsp, E> {
    pub(crate) fn by(
        classifier: impl Fn(Result<&Rsp, &E>) -> Judgment + Send + Sync + 'static,
    ) -> Self {
        Self {
            classifier: Arc::new(classifier),
            replay: Cloned,
            park_by: None,
        }
    }
}

impl<Rsp, E, P, K> Typed<Rsp, E, P, K> {
    pub(crate) fn replay<Q>(self, replay: Q) -> Typed<Rsp, E, Q, K> {
        Typed {
            classifier: self.classifier,
            replay,
            park_by: self.park_by,
        }
    }

    pub(crate) fn park_by<L>(self, key: L) -> Typed<Rsp, E, P, L> {
        Typed {
            classifier: self.classifier,
            replay: self.replay,
            park_by: Some(ParkBy {
                key,
                secret: DigestKey::random(),
            }),
        }
    }

    /// Requests without a key are about the same one.
    pub(crate) fn park_key<Req>(&self, request: &Req) -> Digest
    where
        K: ExtractKey<Req>,
    {
        let digest = self.park_by.as_ref().and_then(|park_by| {
            let digest = park_by.secret.digest_from(&park_by.key, request);
            digest.ok()
        });
        digest.unwrap_or(EVERYBODY)
    }
}

/// What is remembered of a request.
pub struct Call<K> {
    kept: K,
    /// Whom a park is about, which what is kept might not tell.
    key: Digest,
}

impl<Rsp, E, P, K> Sealed for Typed<Rsp, E, P, K> {}

impl<Req, Rsp, E, P, K> Outgoing<Req> for Typed<Rsp, E, P, K>
where
    P: Replay<Req>,
    K: ExtractKey<Req>,
{
    type Attempt = P::Attempt;
    type Call = Call<P::Kept>;

    #[inline]
    fn begin(&self, request: Req, _random: &Random) -> (P::Attempt, Self::Call) {
        let key = self.park_key(&request);
        let (attempt, kept) = self.replay.keep(request);
        (attempt, Call { kept, key })
    }

    #[inline]
    fn timeout(&self, _call: &Self::Call) -> Option<Duration> {
        None
    }

    #[inline]
    fn prepare(&self, _call: &Self::Call, _attempt: &mut P::Attempt, _told: Told) {}

    fn can_repeat(&self, call: &Self::Call) -> bool {
        self.replay.can_repeat(&call.kept)
    }

    fn again(&self, call: &mut Self::Call, is_last: bool) -> Option<P::Attempt> {
        match is_last {
            true => self.replay.last(&mut call.kept),
            false => self.replay.again(&mut call.kept),
        }
    }

    fn key(&self, call: &Self::Call) -> Digest {
        call.key
    }
}

impl<Req, Rsp, E, P, K> Flavor<Req, Rsp, E> for Typed<Rsp, E, P, K>
where
    P: Replay<Req>,
    K: ExtractKey<Req>,
{
    type Response = Rsp;
    type Error = Error<E>;
    type Looking = Ready<Looked<Rsp>>;
    type Discarding = Ready<()>;

    #[inline]
    fn judge(&self, _call: &Self::Call, answer: Result<&Rsp, &Failed<E>>) -> Judged {
        Judged::Known(match answer {
            Ok(response) => (self.classifier)(Ok(response)),
            Err(Failed::Inner(error)) => (self.classifier)(Err(error)),
            Err(Failed::TimedOut | Failed::Parked(_)) => Judgment::TRANSIENT,
        })
    }

    fn is_refused_here(_response: &Rsp) -> bool {
        false
    }

    fn is_safe(&self, _call: &Self::Call, _: &Result<Rsp, Failed<E>>, _: Judgment) -> bool {
        true
    }

    /// Never asked for: the classifier has seen the whole response.
    fn look(
        &self,
        _call: &Self::Call,
        response: Rsp,
        _timer: &Arc<dyn Sleep>,
        _left: Duration,
    ) -> Self::Looking {
        ready(Looked {
            response,
            judgment: Judgment::Success,
            told_by_head: false,
        })
    }

    #[inline]
    fn wrap(response: Rsp) -> Rsp {
        response
    }

    fn discard(
        &self,
        _call: &Self::Call,
        response: Rsp,
        _timer: &Arc<dyn Sleep>,
        _left: impl FnOnce() -> Duration,
    ) -> Option<Ready<()>> {
        drop(response);
        None
    }

    fn finish(
        &self,
        _call: &Self::Call,
        answer: Result<Rsp, Failed<E>>,
        report: impl Fn() -> Report,
        _tell: bool,
    ) -> Result<Rsp, Error<E>> {
        answer.map_err(|failed| {
            let report = report();
            match failed {
                Failed::Inner(error) => Error::Inner { error, report },
                Failed::TimedOut => Error::TimedOut { report },
                Failed::Parked(retry_after) => Error::Parked {
                    retry_after,
                    report,
                },
            }
        })
    }

    #[inline]
    fn not_ready(error: E) -> Error<E> {
        Error::NotReady(error)
    }
}

impl<Rsp, E, P: Clone, K: Clone> Clone for Typed<Rsp, E, P, K> {
    // Derived, it would ask for `Rsp: Clone` and `E: Clone`, of which there is none in here.
    fn clone(&self) -> Self {
        Self {
            classifier: Arc::clone(&self.classifier),
            replay: self.replay.clone(),
            park_by: self.park_by.clone(),
        }
    }
}

impl<Rsp, E, P, K> fmt::Debug for Typed<Rsp, E, P, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").finish_non_exhaustive()
    }
}

impl<K> fmt::Debug for Call<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is kept may have credentials in it.
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
