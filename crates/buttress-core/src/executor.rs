use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// A boxed future that can be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs work that outlives the request that caused it, such as a background revalidation.
pub trait Executor: fmt::Debug + Send + Sync + 'static {
    /// Starts `work`. Where that is impossible (a runtime that is shutting down) `work` is dropped,
    /// which must be safe: work that was never started has held nothing.
    fn execute(&self, work: BoxFuture<'static, ()>);
}

/// One executor for several handles.
impl<X: Executor + ?Sized> Executor for Arc<X> {
    fn execute(&self, work: BoxFuture<'static, ()>) {
        (**self).execute(work);
    }
}

/// Spawns on the tokio runtime of the calling task; outside of one, drops the work.
#[cfg(feature = "rt")]
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioExecutor;

#[cfg(feature = "rt")]
impl Executor for TokioExecutor {
    fn execute(&self, work: BoxFuture<'static, ()>) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn(work));
        }
    }
}

#[cfg(all(test, feature = "rt"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn runs_what_it_is_given() {
        let (done, seen) = tokio::sync::oneshot::channel();
        TokioExecutor.execute(Box::pin(async move {
            assert!(done.send(7).is_ok());
        }));
        assert_eq!(seen.await, Ok(7));
    }

    #[test]
    fn outside_of_a_runtime_the_work_is_dropped() {
        let (done, mut seen) = tokio::sync::oneshot::channel::<()>();
        TokioExecutor.execute(Box::pin(async move { drop(done) }));
        assert_eq!(
            seen.try_recv(),
            Err(tokio::sync::oneshot::error::TryRecvError::Closed)
        );
    }
}
