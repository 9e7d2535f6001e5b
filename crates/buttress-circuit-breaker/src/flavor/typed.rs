use std::fmt;

use buttress_core::{Classify, Outcome};

use super::{Flavor, Instead};
use crate::{Error, OwnedPermit, Refused};

/// For services of any protocol: a classifier says what a result means, and a refusal is an [`Error`].
#[derive(Clone, Copy)]
pub struct Typed<C = ByResult>(C);

impl<C> Typed<C> {
    pub(crate) fn by(classifier: C) -> Self {
        Self(classifier)
    }
}

impl<C> fmt::Debug for Typed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Most classifiers are closures.
        f.debug_struct("Typed").finish_non_exhaustive()
    }
}

/// An error is a failure, everything else a success.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByResult;

impl<Rsp, E> Classify<Rsp, E> for ByResult {
    #[inline]
    fn classify(&self, result: Result<&Rsp, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        }
    }
}

impl<T: ?Sized, Req, Rsp, E, C> Flavor<T, Req, Rsp, E> for Typed<C>
where
    C: Classify<Rsp, E> + Clone,
{
    type Response = Rsp;
    type Error = Error<E>;
    type Asked = C;

    #[inline]
    fn asked(&self, _from: &T) -> C {
        self.0.clone()
    }

    #[inline]
    fn answered(
        classifier: C,
        permit: OwnedPermit,
        result: Result<Rsp, E>,
    ) -> Result<Rsp, Error<E>> {
        permit.record(classifier.classify(result.as_ref()));
        result.map_err(Error::Inner)
    }

    fn refuse(&self, _request: Req, _name: &str, refused: &Refused) -> Instead<Rsp, Error<E>> {
        Instead::Now(Err(Error::Refused(*refused)))
    }

    #[inline]
    fn unjudged(response: Rsp) -> Rsp {
        response
    }

    #[inline]
    fn error(error: E) -> Error<E> {
        Error::Inner(error)
    }
}
