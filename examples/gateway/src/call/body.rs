use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{Call, End};
use crate::streams::Portions;

/// The body of an answer, whose bytes are told to the call that it answers.
#[derive(Debug)]
pub(crate) struct Told {
    body: Portions,
    call: Arc<Call>,
    /// Whether there is more to come, as far as the client knows.
    is_open: bool,
}

impl Told {
    pub(crate) fn to(call: Arc<Call>, body: Body) -> Self {
        use http_body::Body as _;

        let body = Portions::of(body);
        let is_open = !body.is_end_stream();
        if !is_open {
            call.ended(End::Complete);
        }
        Self {
            body,
            call,
            is_open,
        }
    }

    fn ended(&mut self, end: End) {
        self.is_open = false;
        self.call.ended(end);
    }
}

impl http_body::Body for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let body = Pin::new(&mut this.body);
        let frame = ready!(this.call.with(|| body.poll_frame(cx)));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.call.sent(data.len() as u64);
                }
                // Whoever reads may stop where the body says that it is at its end, and poll no more.
                if this.body.is_end_stream() || frame.is_trailers() {
                    this.ended(End::Complete);
                }
            }
            Some(Err(_)) => this.ended(End::UpstreamBrokeOff),
            None => this.ended(End::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if self.is_open {
            self.call.ended(End::ClientLeft);
        }
    }
}
