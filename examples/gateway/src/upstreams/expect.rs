//! `Expect: 100-continue` (RFC 9110 §10.1.1): a client that asks whether its body is wanted, before it sends it.
//!
//! 1. The upstream gets the request's head with the expectation, and none of the body.
//! 2. Where it answers 100 the body is read, and with its first read the client is told 100 by hyper's server.
//! 3. Where it answers anything else that is the answer, and the client is not asked for the body.
//! 4. Where it says nothing for a second, which an upstream may that does not know the expectation, it is as if it had said 100.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderMap, header::EXPECT};
use tokio::time::{self, Sleep};

/// As long as curl waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the upstream says to an expectation. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Expectation(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    word: Word,
    body: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Word {
    /// Nothing so far.
    #[default]
    None,
    /// It wants the body.
    Continue,
    /// It answers without it.
    Answer,
    /// It has answered.
    Over,
}

/// A body that is held back until the upstream has said something.
#[derive(Debug)]
pub(super) struct Held {
    expectation: Expectation,
    patience: Option<Pin<Box<Sleep>>>,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wanted,
    Unwanted,
}

/// Whether a request's fields have the expectation.
pub(super) fn is_in(headers: &HeaderMap) -> bool {
    let expect = headers.get(EXPECT);
    expect.is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

impl Expectation {
    /// The upstream said 100.
    pub(super) fn is_met(&self) {
        self.hear(Word::Continue, |word| word == Word::None);
    }

    /// The upstream begins to answer.
    pub(super) fn is_answered(&self) {
        self.hear(Word::Answer, |word| word == Word::None);
    }

    /// The answer has ended.
    pub(super) fn is_over(&self) {
        self.hear(Word::Over, |word| word != Word::Continue);
    }

    fn hear(&self, word: Word, after: impl FnOnce(Word) -> bool) {
        let mut heard = self.lock();
        if after(heard.word) {
            heard.word = word;
            if let Some(body) = heard.body.take() {
                drop(heard);
                body.wake();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    pub(super) const fn until(expectation: Expectation) -> Self {
        Self {
            expectation,
            patience: None,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Verdict> {
        let mut heard = self.expectation.lock();
        match heard.word {
            Word::Continue => Poll::Ready(Verdict::Wanted),
            Word::Over => Poll::Ready(Verdict::Unwanted),
            Word::Answer => {
                heard.body = Some(cx.waker().clone());
                Poll::Pending
            }
            Word::None => {
                heard.body = Some(cx.waker().clone());
                let patience = self
                    .patience
                    .get_or_insert_with(|| Box::pin(time::sleep(PATIENCE)));
                let over = patience.as_mut().poll(cx);
                if over.is_ready() {
                    heard.word = Word::Continue;
                }
                over.map(|()| Verdict::Wanted)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn verdict(held: &mut Held, within: Duration) -> Option<Verdict> {
        time::timeout(within, poll_fn(|cx| held.poll(cx)))
            .await
            .ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_upstreams_word_holds_and_silence_means_yes() {
        let yes = Expectation::default();
        yes.is_met();
        let mut held = Held::until(yes.clone());
        yes.is_answered();
        yes.is_over();
        assert_eq!(verdict(&mut held, PATIENCE).await, Some(Verdict::Wanted));

        let no = Expectation::default();
        let mut held = Held::until(no.clone());
        assert_eq!(verdict(&mut held, PATIENCE / 2).await, None);
        no.is_answered();
        no.is_met();
        assert_eq!(
            verdict(&mut held, PATIENCE * 100).await,
            None,
            "while the answer comes its connection is needed"
        );
        no.is_over();
        assert_eq!(verdict(&mut held, PATIENCE).await, Some(Verdict::Unwanted));

        let mut held = Held::until(Expectation::default());
        assert_eq!(
            verdict(&mut held, PATIENCE * 2).await,
            Some(Verdict::Wanted)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken() {
        let expectation = Expectation::default();
        let mut held = Held::until(expectation.clone());
        expectation.is_answered();
        let waits = tokio::spawn(async move { poll_fn(|cx| held.poll(cx)).await });
        tokio::task::yield_now().await;
        expectation.is_over();
        assert_eq!(waits.await.unwrap(), Verdict::Unwanted);
    }
}
