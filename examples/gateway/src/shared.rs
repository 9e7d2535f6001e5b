use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use axum::{extract::Request, response::Response};
use buttress_core::BoxFuture;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::IntoBody;

/// A service whose type is forgotten, and whose clones share it.
///
/// What the configuration leaves out is not in the stack, so its type is not known before. Cloning takes no
/// allocation, as it does with tower's `BoxCloneSyncService`.
#[derive(Clone)]
pub(crate) struct Shared(Arc<dyn Serve>);

/// A service of the gateway's own: it is ready at any time, and whoever calls it need not own it.
pub(crate) trait Serve: Send + Sync {
    fn serve(&self, request: Request) -> Answer;
}

pub(crate) type Answer = BoxFuture<'static, Result<Response, Infallible>>;

impl Shared {
    pub(crate) fn of(service: impl Serve + 'static) -> Self {
        Self(Arc::new(service))
    }

    /// The innermost service, or what a layer of Buttress's made around one. The type of its body is forgotten, too.
    pub(crate) fn layered<S, B>(service: S) -> Self
    where
        S: Service<Request, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: IntoBody,
    {
        Self::of(Layered(service))
    }
}

/// Calls a service that is ready at any time, as all are that are stacked here: what is innermost waits in its calls, and the
/// layers around it reserve nothing of their own. They are asked first all the same, for that is the contract.
#[inline]
pub(crate) fn call<S, R>(service: &mut S, request: R) -> S::Future
where
    S: Service<R>,
{
    let asked = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    debug_assert!(
        matches!(asked, Poll::Ready(Ok(()))),
        "ready at any time, by `Serve`"
    );
    service.call(request)
}

impl Serve for Shared {
    fn serve(&self, request: Request) -> Answer {
        self.0.serve(request)
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
        self.serve(request)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").finish_non_exhaustive()
    }
}

struct Layered<S>(S);

impl<S, B> Serve for Layered<S>
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: IntoBody,
{
    fn serve(&self, request: Request) -> Answer {
        let answer = call(&mut self.0.clone(), request);
        Box::pin(Forgetting { answer })
    }
}

pin_project! {
    /// An answer, the type of whose body is forgotten.
    struct Forgetting<F> {
        #[pin]
        answer: F,
    }
}

impl<F, B> Future for Forgetting<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: IntoBody,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.project().answer.poll(cx));
        Poll::Ready(answer.map(|response| response.map(IntoBody::into_body)))
    }
}
