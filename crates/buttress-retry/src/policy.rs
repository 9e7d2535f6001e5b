use std::sync::Arc;

use buttress_core::{ConfigError, Digest};

use crate::{
    Judgment, RetryBuilder, Verdict,
    settings::{Progress, Settings},
};

/// The decisions without a layer: for work that is no service.
///
/// Clones share their budget and their source of jitter.
///
/// ```
/// use std::time::Duration;
/// use buttress_retry::{Judgment, RetryPolicy, Verdict};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut left = 2;
/// # let mut work = || { left -= 1; if left > 0 { Err("busy") } else { Ok(7) } };
/// let policy = RetryPolicy::builder().max_attempts(5).build()?;
/// let mut call = policy.begin();
/// let answer = loop {
///     let answer = work();
///     let judgment = if answer.is_ok() { Judgment::Success } else { Judgment::TRANSIENT };
///     match call.attempted(judgment) {
///         Verdict::Retry { after } => tokio::time::sleep(after).await,
///         _ => break answer,
///     }
/// };
/// assert_eq!((answer, call.attempts()), (Ok(7), 2));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    settings: Arc<Settings>,
}

/// A [`RetryPolicy`] is made.
#[derive(Clone, Copy, Debug)]
pub struct Alone(());

impl RetryPolicy {
    /// A policy in the making. Timeouts of attempts, and waiting, are the caller's, and it holds nobody back: of parks it
    /// only tells its observer.
    pub fn builder() -> RetryBuilder<Alone> {
        RetryBuilder::starting_with(Alone(()))
    }

    /// A call begins.
    #[must_use]
    pub fn begin(&self) -> Call {
        let progress = self.settings.begin();
        self.settings.called(progress.started);
        Call {
            progress,
            settings: Arc::clone(&self.settings),
        }
    }
}

impl RetryBuilder<Alone> {
    /// The policy.
    ///
    /// # Errors
    ///
    /// Where the attempts are not from 1 to 100, a time is zero or longer than a year, the spread is not from 0 to 10, a
    /// "too many" without a time is to wait for longer than the longest wait, there are more than 1,048,576 parks, or the
    /// backoff cannot work.
    pub fn build(self) -> Result<RetryPolicy, ConfigError> {
        let (settings, Alone(())) = self.parts()?;
        Ok(RetryPolicy {
            settings: Arc::new(settings),
        })
    }
}

/// One call of a [`RetryPolicy`], over all of its attempts.
#[derive(Clone, Debug)]
pub struct Call {
    settings: Arc<Settings>,
    progress: Progress,
}

impl Call {
    /// An attempt was made, and this is what it came to. That a [`Judgment::Transient`] may be repeated is your word.
    pub fn attempted(&mut self, judgment: Judgment) -> Verdict {
        self.progress.attempts = self.progress.attempts.saturating_add(1);
        self.settings.heard(judgment);
        let key = || Digest::from_u128(0);
        let verdict = self
            .settings
            .after(&mut self.progress, judgment, (true, true), key);
        if let Verdict::Stop(ended) = verdict {
            self.settings.report(&self.progress, ended);
        }
        verdict
    }

    /// How many attempts were made.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.progress.attempts
    }
}
