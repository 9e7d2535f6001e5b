use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use buttress_core::Outcome;
use buttress_http::ResponseBody;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{Http, OwnedPermit};

pin_project! {
    /// The body of a guarded response: the inner service's, watched for how it ends, or a refusal's.
    ///
    /// Frames pass as they come. Size hint, end of stream, errors and trailers are the inner body's.
    pub struct GuardedBody<B> {
        #[pin]
        body: ResponseBody<B>,
        watch: Option<Watch>,
    }
}

/// What is waited for.
enum Watch {
    End(Ended),
    Status { permit: OwnedPermit, flavor: Http },
}

impl<B> GuardedBody<B> {
    /// A body that is not watched.
    pub(crate) fn inner(body: B) -> Self {
        Self {
            body: ResponseBody::inner(body),
            watch: None,
        }
    }

    /// A body made here.
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self {
            body: ResponseBody::full(bytes),
            watch: None,
        }
    }

    /// A body whose call succeeds when it ends, and fails when it breaks off.
    pub(crate) fn until_its_end(body: B, permit: OwnedPermit) -> Self {
        Self {
            body: ResponseBody::inner(body),
            watch: Some(Watch::End(Ended(Some(permit)))),
        }
    }

    /// A body in whose trailers there is a gRPC status.
    pub(crate) fn until_its_status(body: B, permit: OwnedPermit, flavor: Http) -> Self {
        Self {
            body: ResponseBody::inner(body),
            watch: Some(Watch::Status { permit, flavor }),
        }
    }
}

/// The permit of a call that was answered. Who drops it before the body's end did not want more: that is a
/// success.
struct Ended(Option<OwnedPermit>);

impl Ended {
    fn record(mut self, outcome: Outcome) {
        if let Some(permit) = self.0.take() {
            permit.record(outcome);
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(permit) = self.0.take() {
            permit.record(Outcome::Success);
        }
    }
}

impl Watch {
    fn broke_off(self) {
        match self {
            Self::End(ended) => ended.record(Outcome::Failure),
            Self::Status { permit, .. } => permit.record(Outcome::Failure),
        }
    }

    fn ended(self, trailers: Option<&HeaderMap>) {
        match self {
            Self::End(ended) => ended.record(Outcome::Success),
            Self::Status { permit, flavor } => {
                // Without trailers there is no status, which is a failure, too.
                permit.record(match trailers {
                    Some(trailers) => flavor.trailers(trailers),
                    None => Outcome::Failure,
                });
            }
        }
    }
}

impl<B> Body for GuardedBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        if this.watch.is_some() {
            // Whoever reads it may stop where it says that it is at its end, and poll no more.
            let trailers = match &frame {
                Some(Ok(frame)) => frame.trailers_ref(),
                _ => None,
            };
            match &frame {
                Some(Err(_)) => {
                    if let Some(watch) = this.watch.take() {
                        watch.broke_off();
                    }
                }
                Some(Ok(_)) if trailers.is_none() && !this.body.is_end_stream() => {}
                Some(Ok(_)) | None => {
                    if let Some(watch) = this.watch.take() {
                        watch.ended(trailers);
                    }
                }
            }
        }
        Poll::Ready(frame)
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The empty body.
impl<B> Default for GuardedBody<B> {
    fn default() -> Self {
        Self::full(Bytes::new())
    }
}

impl<B: fmt::Debug> fmt::Debug for GuardedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody")
            .field("body", &self.body)
            .field("watched", &self.watch.is_some())
            .finish()
    }
}
