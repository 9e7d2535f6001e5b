use std::{
    convert::Infallible,
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, extract::Request, response::Response};
use buttress_core::BoxFuture;
use bytes::Bytes;
use tower_service::Service;

/// A service whose type is forgotten, and whose clones share it.
///
/// What the configuration leaves out is not in the stack, so its type is not known before. Cloning takes no
/// allocation, as it does with tower's `BoxCloneSyncService`: a clone is made for each request.
#[derive(Clone)]
pub(crate) struct Shared(Arc<dyn Serve>);

impl Shared {
    pub(crate) fn of<S, B>(service: S) -> Self
    where
        S: Service<Request, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        Self(Arc::new(service))
    }
}

type Answer = BoxFuture<'static, Result<Response, Infallible>>;

trait Serve: Send + Sync {
    fn serve(&self, request: Request) -> Answer;
}

impl<S, B> Serve for S
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    fn serve(&self, request: Request) -> Answer {
        let mut service = self.clone();
        Box::pin(async move {
            // A clone is not ready, whatever it was cloned from.
            poll_fn(|cx| service.poll_ready(cx)).await?;
            Ok(service.call(request).await?.map(Body::new))
        })
    }
}

impl Service<Request> for Shared {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Answer {
        self.0.serve(request)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").finish_non_exhaustive()
    }
}
