use std::sync::Arc;

use buttress_core::{ConfigError, Digest};

use crate::{Judgment, RetryBuilder, RetryDecision, progress::Progress, settings::Settings};

/// The decisions without a layer: for work that is no service.
///
/// Clones share their budget and their source of jitter.
///
/// ```
/// use std::time::Duration;
/// use buttress_retry::{Judgment, RetryPolicy, RetryDecision};
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
///         RetryDecision::Retry { after } => tokio::time::sleep(after).await,
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
    /// A policy in the making. Timeouts of attempts, and waiting, are the caller's, and it holds nobody back: there are
    /// no parks.
    pub fn builder() -> RetryBuilder<Alone> {
        RetryBuilder::starting_with(Alone(())).without_parks()
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
    /// "too many" without a time is to wait for longer than the longest wait, or the backoff cannot work.
    pub fn build(self) -> Result<RetryPolicy, ConfigError> {
        let (settings, Alone(())) = self.parts()?;
        Ok(RetryPolicy {
            settings: Arc::new(settings),
        })
    }
}

/// One call of a [`RetryPolicy`], over all of its attempts.
///
/// A retry that was granted is charged to the budget, made or not: only you know which it was.
#[derive(Clone, Debug)]
pub struct Call {
    settings: Arc<Settings>,
    progress: Progress,
}

impl Call {
    /// An attempt was made, and this is what it came to. That a [`Judgment::Transient`] may be repeated is your word.
    pub fn attempted(&mut self, judgment: Judgment) -> RetryDecision {
        self.progress.attempts = self.progress.attempts.saturating_add(1);
        self.settings.heard(judgment);
        let key = || Digest::from_u128(0);
        let settings = &self.settings;
        let after = settings.after(&mut self.progress, judgment, None, (true, true), key);
        match after.decision {
            RetryDecision::Retry { after } => settings.retries(&self.progress, after, judgment),
            RetryDecision::Stop(ended) => {
                let _report = settings.over(&self.progress, ended);
            }
        }
        after.decision
    }

    /// How many attempts were made.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.progress.attempts
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{Event, Happening};

    /// It holds nobody back, so it must not say that it does.
    #[test]
    fn nobody_is_parked_without_a_layer() {
        let parked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&parked);
        let policy = RetryPolicy::builder()
            .observer(move |event: &Event<'_>| {
                if matches!(event.happening, Happening::Parked { .. }) {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            })
            .build()
            .unwrap();
        let decision = policy.begin().attempted(Judgment::Throttled {
            retry_after: Some(std::time::Duration::from_secs(5)),
        });
        assert!(
            matches!(decision, RetryDecision::Retry { .. }),
            "{decision:?}"
        );
        assert_eq!(parked.load(Ordering::SeqCst), 0);
    }
}
