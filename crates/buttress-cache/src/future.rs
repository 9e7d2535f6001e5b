use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use buttress_core::BoxFuture;
use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::{CacheBody, after::After, leader::Leader};

pin_project! {
    /// The future of [`CacheService`](crate::CacheService).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, B, E>
    where
        B: Body,
    {
        #[pin]
        state: State<F, B, E>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B, E>
    where
        B: Body,
    {
        Ready { response: Option<Response<CacheBody<B>>> },
        Passing { #[pin] future: F, after: Option<After> },
        Leading { leader: Leader<B, E> },
        Slow { slow: BoxFuture<'static, Result<Response<CacheBody<B>>, E>> },
    }
}

impl<F, B: Body, E> ResponseFuture<F, B, E> {
    #[inline]
    pub(crate) const fn ready(response: Response<CacheBody<B>>) -> Self {
        Self {
            state: State::Ready {
                response: Some(response),
            },
        }
    }

    pub(crate) const fn passing(future: F, after: Option<After>) -> Self {
        Self {
            state: State::Passing { future, after },
        }
    }

    pub(crate) const fn leading(leader: Leader<B, E>) -> Self {
        Self {
            state: State::Leading { leader },
        }
    }

    pub(crate) fn slow(
        slow: impl Future<Output = Result<Response<CacheBody<B>>, E>> + Send + 'static,
    ) -> Self {
        Self {
            state: State::Slow {
                slow: Box::pin(slow),
            },
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = Result<Response<CacheBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            // Polled again after it was ready, it has nothing to say, as the contract allows.
            StateProjection::Ready { response } => response
                .take()
                .map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            StateProjection::Passing { future, after } => {
                let result = ready!(future.poll(cx));
                Poll::Ready(match (result, after.take()) {
                    (Ok(response), Some(after)) => Ok(after.finish(response)),
                    (Ok(response), None) => Ok(response.map(CacheBody::inner)),
                    (Err(error), after) => {
                        let instead = after.and_then(After::unreachable);
                        instead.ok_or(error)
                    }
                })
            }
            StateProjection::Leading { leader } => leader.poll(cx),
            StateProjection::Slow { slow } => slow.as_mut().poll(cx),
        }
    }
}

impl<F, B: Body, E> fmt::Debug for ResponseFuture<F, B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
