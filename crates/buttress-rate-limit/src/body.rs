use std::{
    fmt,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{Meter, Permit};

pin_project! {
    /// The inner service's body, watched by [`Meter`]s where the user asked for them.
    #[derive(Debug)]
    pub struct MeteredBody<B> {
        #[pin]
        inner: B,
        // Boxed, since most bodies are not watched. `None` where it is settled.
        gauge: Option<Box<Gauge>>,
    }
}

impl<B> MeteredBody<B> {
    #[inline]
    pub(crate) const fn around(inner: B) -> Self {
        Self { inner, gauge: None }
    }

    /// The inner service's own, by value.
    ///
    /// Who boxes bodies need not box around one that is boxed already.
    ///
    /// # Errors
    ///
    /// With this body, where it is watched.
    #[inline]
    pub fn into_inner(self) -> Result<B, Self> {
        match self.gauge {
            None => Ok(self.inner),
            Some(_) => Err(self),
        }
    }

    /// From now on it is watched.
    pub(crate) fn watch(&mut self, gauge: Gauge) {
        self.gauge = Some(Box::new(gauge));
    }
}

/// Meters, and what they settle when they are dropped: at the end of the body, or when the client leaves.
pub(crate) struct Gauge {
    permit: Permit,
    /// Never locked, but shared between threads it is harmless: clients such as reqwest take `Sync` bodies only, and meters
    /// need not be.
    meters: Mutex<Vec<(usize, Box<dyn Meter>)>>,
}

impl Gauge {
    pub(crate) fn of(permit: &Permit, meters: Vec<(usize, Box<dyn Meter>)>) -> Self {
        Self {
            permit: permit.clone(),
            meters: Mutex::new(meters),
        }
    }

    fn meters(&mut self) -> &mut Vec<(usize, Box<dyn Meter>)> {
        self.meters
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&mut self, frame: &Frame<Bytes>) {
        for (_, meter) in self.meters() {
            if let Some(data) = frame.data_ref() {
                meter.data(data);
            } else if let Some(trailers) = frame.trailers_ref() {
                meter.trailers(trailers);
            }
        }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        let meters = self
            .meters
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for (ordinal, meter) in meters {
            self.permit.settle_at(*ordinal, meter.cost());
        }
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauge").finish_non_exhaustive()
    }
}

impl<B> Body for MeteredBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        match (&frame, this.gauge.as_mut()) {
            (Some(Ok(frame)), Some(gauge)) => gauge.see(frame),
            (Some(Ok(_)), None) => {}
            // The end, or a break: nothing more will pass.
            (None | Some(Err(_)), _) => *this.gauge = None,
        }
        Poll::Ready(frame)
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// reqwest takes no other bodies.
    #[test]
    fn a_body_can_be_shared_between_threads() {
        fn is_sync<T: Sync>() {}
        is_sync::<MeteredBody<()>>();
    }
}
