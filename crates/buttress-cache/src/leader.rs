use std::{
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use buttress_http::LocalRefusal;
use http::{Response, StatusCode};
use http_body::Body;
use tokio::sync::oneshot;

use crate::{
    CacheBody,
    fetch::Reply,
    news::Seat,
    rfc9111::{CacheStatus, Forward},
    shared::Shared,
};

/// The wait of the request that caused a fetch.
pub(crate) struct Leader<B, E>
where
    B: Body,
{
    asked: oneshot::Receiver<Reply<B, E>>,
    /// As long as it is taken, the fetch goes on.
    seat: Option<Seat>,
    shared: Arc<Shared>,
}

impl<B: Body, E> Leader<B, E> {
    pub(crate) const fn waiting(
        asked: oneshot::Receiver<Reply<B, E>>,
        seat: Option<Seat>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            asked,
            seat,
            shared,
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<CacheBody<B>>, E>> {
        let reply = ready!(Pin::new(&mut self.asked).poll(cx));
        let seat = self.seat.take();
        Poll::Ready(match reply {
            Ok(Reply::Answered(response)) => Ok(response),
            Ok(Reply::Reading(head, length)) => {
                let body = seat.map_or_else(CacheBody::empty, |seat| CacheBody::read(seat, length));
                Ok(head.map(|()| body))
            }
            Ok(Reply::Failed(error)) => Err(error),
            // As though the inner service had been polled here.
            Ok(Reply::Panicked(panic)) => resume_unwind(panic),
            // The executor dropped the work.
            Err(_) => Ok(self.nobody_works()),
        })
    }

    #[cold]
    fn nobody_works(&self) -> Response<CacheBody<B>> {
        let mut response = Response::new(CacheBody::empty());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        LocalRefusal::new(None).mark(&mut response);
        self.shared
            .mark(&CacheStatus::forward(Forward::Miss), &mut response);
        response
    }
}
