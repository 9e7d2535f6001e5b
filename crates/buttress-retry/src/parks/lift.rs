use std::{
    fmt,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use buttress_core::BoxFuture;
use tokio::sync::Notify;

use crate::sync::{AtomicBool, Ordering};

/// Whether a park was lifted by hand, for those who wait for its end.
#[derive(Default)]
pub(super) struct Lever {
    is_lifted: AtomicBool,
    lifted: Notify,
}

impl Lever {
    pub(super) fn lift(&self) {
        self.is_lifted.store(true, Ordering::Release);
        self.lifted.notify_waiters();
    }

    async fn lifted(&self) {
        let mut lifted = pin!(self.lifted.notified());
        // In line first, and then looked: whoever lifts it in between wakes us.
        lifted.as_mut().enable();
        if !self.is_lifted.load(Ordering::Acquire) {
            lifted.await;
        }
    }
}

/// Ready when a park is lifted by hand; its end by time is nothing to it.
pub(crate) struct Lift {
    lever: Arc<Lever>,
    lifted: Option<BoxFuture<'static, ()>>,
}

impl Lift {
    pub(super) const fn of(lever: Arc<Lever>) -> Self {
        Self {
            lever,
            lifted: None,
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let lever = &self.lever;
        let lifted = self.lifted.get_or_insert_with(|| {
            let lever = Arc::clone(lever);
            Box::pin(async move { lever.lifted().await })
        });
        lifted.as_mut().poll(cx)
    }
}

impl fmt::Debug for Lift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lift").finish_non_exhaustive()
    }
}
