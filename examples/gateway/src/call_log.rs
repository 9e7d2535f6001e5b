//! The call log: a line of JSON for each call (NDJSON), written by a thread of its own.
//!
//! Nobody waits for the disk: calls go through a queue of a fixed length, and where it is full they are
//! dropped and counted. The count is in the metrics and the state, and in the log itself, as a line
//! `{"dropped":n}` at the place where they are missing.

mod file;
mod writer;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use metrics::counter;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use self::{file::Rotated, writer::write_all};
use crate::{call::Record, config::CallLogConfig};

/// The way to the file.
#[derive(Debug)]
pub(crate) struct CallLog {
    queue: mpsc::Sender<Message>,
    counts: Arc<Counts>,
}

/// How many calls were written, and how many were not.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    /// Of these, how many the log has not said yet.
    unsaid: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Call(Box<Record>),
    /// All before it is to be on the disk; then the sender is told.
    Flush(oneshot::Sender<()>),
}

impl CallLog {
    /// Opens the file, behind what stands in it.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened, or no thread can be had.
    pub(crate) fn open(config: &CallLogConfig) -> io::Result<Self> {
        let file = Rotated::open(&config.path, config.max_bytes, config.files)?;
        let (queue, calls) = mpsc::channel(config.queue);
        let counts = Arc::<Counts>::default();
        counts.lost(0);
        thread::Builder::new().name("call-log".to_owned()).spawn({
            let counts = Arc::clone(&counts);
            move || write_all(calls, file, &counts)
        })?;
        Ok(Self { queue, counts })
    }

    /// Hands a call to the writer, or drops it.
    pub(crate) fn write(&self, record: Record) {
        if let Err(TrySendError::Full(_) | TrySendError::Closed(_)) =
            self.queue.try_send(Message::Call(Box::new(record)))
        {
            self.counts.lost(1);
        }
    }

    /// Waits until what was handed over is written.
    pub(crate) async fn flush(&self) {
        let (written, is_written) = oneshot::channel();
        if self.queue.send(Message::Flush(written)).await.is_ok() {
            let _ = is_written.await;
        }
    }

    /// How many calls were written.
    pub(crate) fn written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }

    /// How many calls were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }
}

impl Counts {
    fn lost(&self, calls: u64) {
        counter!("gateway_call_log_dropped_total").increment(calls);
        self.dropped.fetch_add(calls, Ordering::Relaxed);
        self.unsaid.fetch_add(calls, Ordering::Relaxed);
    }

    fn wrote(&self, calls: u64) {
        self.written.fetch_add(calls, Ordering::Relaxed);
    }

    /// How many were dropped that nobody was told of.
    fn take_unsaid(&self) -> u64 {
        self.unsaid.swap(0, Ordering::Relaxed)
    }

    /// They are still to be told of.
    fn not_said(&self, calls: u64) {
        self.unsaid.fetch_add(calls, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
