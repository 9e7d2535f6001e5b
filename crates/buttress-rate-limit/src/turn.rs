use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use buttress_core::{Sleep, clock::Sleeping};

use crate::{books::Books, standing::Standing};

/// A request's turn in the queue, which is yet to come. Dropped, it is over: it came, or was given up.
pub(crate) struct Turn {
    timer: Sleeping,
    books: Arc<Books>,
    /// Of the policy that delays the request longest.
    ordinal: usize,
}

impl Turn {
    /// `None` where the request need not wait.
    pub(crate) fn of(
        books: &Arc<Books>,
        timer: &dyn Sleep,
        standing: &Standing<'_>,
    ) -> Option<Self> {
        let wait = standing.delay();
        if wait.is_zero() {
            return None;
        }
        let longest = |decision: &crate::Decision| decision.delay() == wait;
        let ordinal = standing.decisions().iter().position(longest)?;
        if let (Some(watcher), Some(limit)) = (&books.watcher, books.limits.get(ordinal)) {
            watcher.queued(limit, wait);
        }
        Some(Self {
            timer: timer.sleep(wait),
            books: Arc::clone(books),
            ordinal,
        })
    }

    /// Ready when it has come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.timer).poll(cx)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let limit = self.books.limits.get(self.ordinal);
        if let (Some(watcher), Some(limit)) = (&self.books.watcher, limit) {
            watcher.dequeued(limit);
        }
    }
}
