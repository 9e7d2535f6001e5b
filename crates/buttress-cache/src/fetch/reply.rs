use std::any::Any;

use http::Response;
use http_body::Body;
use tokio::sync::oneshot;

use crate::CacheBody;

/// What the request that caused a fetch is told.
pub(crate) enum Reply<B, E>
where
    B: Body,
{
    /// This is the answer.
    Answered(Response<CacheBody<B>>),
    /// This is its head; the body is read from the seat, `length` bytes are known to come.
    Reading(Response<()>, Option<u64>),
    /// There is none.
    Failed(E),
    /// The inner service panicked, and so shall whoever asked it.
    Panicked(Box<dyn Any + Send>),
}

/// Where the reply goes. Nobody asks for what is done in the background, and whoever asked may have left:
/// then nobody is told.
pub(crate) struct Asking<B: Body, E>(Option<oneshot::Sender<Reply<B, E>>>);

impl<B: Body, E> Asking<B, E> {
    pub(crate) const fn of(sender: oneshot::Sender<Reply<B, E>>) -> Self {
        Self(Some(sender))
    }

    pub(crate) const fn nobody() -> Self {
        Self(None)
    }

    pub(crate) const fn is_somebody(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn reply(self, reply: Reply<B, E>) {
        if let Some(sender) = self.0 {
            let _ = sender.send(reply);
        }
    }

    pub(crate) fn answer(self, response: Response<CacheBody<B>>) {
        self.reply(Reply::Answered(response));
    }
}
