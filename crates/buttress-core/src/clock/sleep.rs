use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::TokioClock;
use crate::BoxFuture;

/// Waiting, beside the [`Clock`](super::Clock) that tells how long.
///
/// Whoever waits is on a slow path, so one box per wait is accepted, and the trait stays object-safe.
pub trait Sleep: fmt::Debug + Send + Sync + 'static {
    /// A future that is ready once `span` has passed. Dropping it cancels the timer.
    fn sleep(&self, span: Duration) -> Sleeping;
}

/// One timer for several handles.
impl<T: Sleep + ?Sized> Sleep for Arc<T> {
    fn sleep(&self, span: Duration) -> Sleeping {
        (**self).sleep(span)
    }
}

/// The future of [`Sleep::sleep`].
#[must_use = "futures do nothing unless polled"]
pub struct Sleeping(BoxFuture<'static, ()>);

impl Sleeping {
    /// Wraps a runtime's own timer.
    pub fn new(timer: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Box::pin(timer))
    }
}

impl Future for Sleeping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Sleeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleeping").finish_non_exhaustive()
    }
}

/// Sleeps on tokio's timer. Polled outside of a tokio runtime with time enabled, tokio panics.
impl Sleep for TokioClock {
    fn sleep(&self, span: Duration) -> Sleeping {
        Sleeping::new(Deferred {
            span: Some(span),
            timer: None,
        })
    }
}

pin_project_lite::pin_project! {
    /// Tokio's timer asks for its runtime when it is made; this one asks when it is polled, and counts
    /// from there.
    struct Deferred {
        span: Option<Duration>,
        #[pin]
        timer: Option<tokio::time::Sleep>,
    }
}

impl Future for Deferred {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if let Some(span) = this.span.take() {
            this.timer.set(Some(tokio::time::sleep(span)));
        }
        match this.timer.as_pin_mut() {
            Some(timer) => timer.poll(cx),
            None => Poll::Ready(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, Tick};

    #[tokio::test(start_paused = true)]
    async fn lasts_as_long_as_it_was_told() {
        let clock = TokioClock::starting_now();
        clock.sleep(Duration::from_millis(250)).await;
        assert_eq!(clock.now(), Tick::from_nanos(250_000_000));
    }
}
