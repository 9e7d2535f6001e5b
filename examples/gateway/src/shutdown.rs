use std::{future::Future, time::Duration};

use tokio::time;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The end of a gateway, in two steps: *closing*, when nothing new is taken on and what is in flight
/// finishes, and *cut off*, when nothing is waited for any more.
///
/// Clones share the one end.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    closing: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Open => closing; closing => cut off, for whoever asks a second time is in a hurry.
    pub fn ask(&self) {
        if self.closing.is_cancelled() {
            self.cut.cancel();
        }
        self.closing.cancel();
    }

    /// Is over when the gateway closes.
    pub(crate) fn closing(&self) -> impl Future<Output = ()> + Send + 'static {
        self.closing.clone().cancelled_owned()
    }

    /// Is over when the gateway is cut off.
    pub(crate) fn cut_off(&self) -> impl Future<Output = ()> + Send + 'static {
        self.cut.clone().cancelled_owned()
    }

    /// Runs a connection or a tunnel that the end waits for. It must watch both steps by itself.
    pub(crate) fn track(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits until all that is tracked has ended; cuts it off after `bound`. Tells whether it ended by
    /// itself.
    pub(crate) async fn drain(&self, bound: Duration) -> bool {
        self.tasks.close();
        let all = time::timeout(bound, self.tasks.wait()).await.is_ok();
        let by_itself = all && !self.cut.is_cancelled();
        self.cut.cancel();
        self.tasks.wait().await;
        by_itself
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn what_ends_in_time_is_waited_for() {
        let shutdown = Shutdown::default();
        shutdown.track(time::sleep(BOUND / 2));
        shutdown.ask();
        shutdown.closing().await;
        assert!(shutdown.drain(BOUND).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_is_cut() {
        let shutdown = Shutdown::default();
        shutdown.track(shutdown.cut_off());
        shutdown.ask();
        assert!(!shutdown.drain(BOUND).await);
    }

    #[tokio::test(start_paused = true)]
    async fn asking_twice_cuts() {
        let shutdown = Shutdown::default();
        shutdown.track(shutdown.cut_off());
        shutdown.ask();
        shutdown.ask();
        assert!(!shutdown.drain(Duration::MAX).await);
    }
}
