use std::{fmt, future::poll_fn};

use tower_service::Service;

use super::{Flavor, Instead};
use crate::{OwnedPermit, Refused};

/// As `F`, but what is refused goes to another service.
///
/// The other service is not guarded by the circuit breaker: nobody judges its answers.
#[derive(Clone, Copy)]
pub struct OrCall<F, S> {
    flavor: F,
    fallback: S,
}

impl<F, S> OrCall<F, S> {
    pub(crate) fn or(flavor: F, fallback: S) -> Self {
        Self { flavor, fallback }
    }
}

impl<T: ?Sized, Req, Rsp, E, F, S> Flavor<T, Req, Rsp, E> for OrCall<F, S>
where
    F: Flavor<T, Req, Rsp, E>,
    S: Service<Req, Response = Rsp, Error = E> + Clone + Send + 'static,
    S::Future: Send,
    Req: Send + 'static,
{
    type Response = F::Response;
    type Error = F::Error;
    type Asked = F::Asked;

    #[inline]
    fn asked(&self, from: &T) -> Self::Asked {
        self.flavor.asked(from)
    }

    #[inline]
    fn answered(
        asked: Self::Asked,
        permit: OwnedPermit,
        result: Result<Rsp, E>,
    ) -> Result<Self::Response, Self::Error> {
        F::answered(asked, permit, result)
    }

    fn refuse(
        &self,
        request: Req,
        _name: &str,
        _refused: &Refused,
    ) -> Instead<Self::Response, Self::Error> {
        let mut service = self.fallback.clone();
        Instead::Later(Box::pin(async move {
            // A clone is not ready, whatever it was cloned from.
            poll_fn(|cx| service.poll_ready(cx))
                .await
                .map_err(F::error)?;
            let response = service.call(request).await.map_err(F::error)?;
            Ok(F::unjudged(response))
        }))
    }

    #[inline]
    fn unjudged(response: Rsp) -> Self::Response {
        F::unjudged(response)
    }

    #[inline]
    fn error(error: E) -> Self::Error {
        F::error(error)
    }
}

impl<F: fmt::Debug, S> fmt::Debug for OrCall<F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrCall")
            .field("flavor", &self.flavor)
            .finish_non_exhaustive()
    }
}
