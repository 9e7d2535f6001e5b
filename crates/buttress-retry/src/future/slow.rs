use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use buttress_core::{Tick, clock::Sleeping};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Answer, Attempt, Held, Out, poll_attempt};
use crate::{
    Ended, Flavor, Judgment, Outgoing, Verdict,
    error::Failed,
    flavor::{Judged, Told},
    settings::Passage,
};

type Rsp<S, Req, F> = <S as Service<Attempt<Req, F>>>::Response;
type Err<S, Req, F> = <S as Service<Attempt<Req, F>>>::Error;
type Looking<S, Req, F> = <F as Flavor<Req, Rsp<S, Req, F>, Err<S, Req, F>>>::Looking;
type Discarding<S, Req, F> = <F as Flavor<Req, Rsp<S, Req, F>, Err<S, Req, F>>>::Discarding;
type Response<S, Req, F> = <F as Flavor<Req, Rsp<S, Req, F>, Err<S, Req, F>>>::Response;

/// An answer as the caller would get it.
type Wrapped<S, Req, F> = Result<Response<S, Req, F>, Failed<Err<S, Req, F>>>;

pin_project! {
    /// What comes after the first attempt, or in front of it: look into the answer, decide, let it go, wait, make a fresh
    /// service ready, call it.
    pub(super) struct Slow<S, Req, F>
    where
        F: Outgoing<Req>,
        F: Flavor<Req, S::Response, S::Error>,
        S: Service<<F as Outgoing<Req>>::Attempt>,
    {
        held: Held<S, Req, F>,
        stage: Stage<S, Req, F>,
        // What is sent next.
        next: Option<Attempt<Req, F>>,
        #[pin]
        calling: Option<S::Future>,
    }
}

enum Stage<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    Looking(Looking<S, Req, F>),
    Judged(Option<(Wrapped<S, Req, F>, Judgment)>),
    Discarding(Discarding<S, Req, F>, Tick),
    Sleeping(Sleeping),
    /// Before a parked upstream, or not.
    Passing,
    /// Until the deadline, if there is one.
    Readying(Option<Sleeping>),
    Calling(Option<Sleeping>),
    Over,
}

impl<S, Req, F> Slow<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    fn at(stage: Stage<S, Req, F>, next: Option<Attempt<Req, F>>, held: Held<S, Req, F>) -> Self {
        Self {
            held,
            stage,
            next,
            calling: None,
        }
    }

    /// The first attempt has not been made.
    pub(super) fn waiting(wait: Duration, attempt: Attempt<Req, F>, held: Held<S, Req, F>) -> Self {
        let timer = held.shared.settings.timer.sleep(wait);
        Self::at(Stage::Sleeping(timer), Some(attempt), held)
    }

    /// The first attempt will not be made.
    pub(super) fn refused(wait: Duration, held: Held<S, Req, F>) -> Self {
        let refused = (Err(Failed::Parked(wait)), Judgment::NotRetryable);
        Self::at(Stage::Judged(Some(refused)), None, held)
    }

    /// The first attempt was answered.
    pub(super) fn after(answer: Answer<S, Req, F>, judged: Judged, held: Held<S, Req, F>) -> Self {
        let stage = Stage::of(answer, judged, &held);
        Self::at(stage, None, held)
    }
}

impl<S, Req, F> Stage<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    /// After an answer.
    fn of(answer: Answer<S, Req, F>, judged: Judged, held: &Held<S, Req, F>) -> Self {
        match (answer, judged) {
            (Ok(response), Judged::Look) => {
                let (flavor, timer) = (&held.shared.flavor, &held.shared.settings.timer);
                Self::Looking(flavor.look(&held.call, response, timer, held.time_left()))
            }
            (answer, Judged::Known(judgment)) => {
                Self::Judged(Some((answer.map(F::wrap), judgment)))
            }
            // There is nothing to look into.
            (Err(failed), Judged::Look) => {
                Self::Judged(Some((Err(failed), Judgment::NotRetryable)))
            }
        }
    }
}

impl<S, Req, F> Held<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    /// Until the deadline; for ever where there is none.
    fn time_left(&self) -> Duration {
        // Most calls have none, and need not read the clock.
        let left = |_| self.progress.time_left(self.shared.settings.now());
        self.progress
            .deadline
            .and_then(left)
            .unwrap_or(Duration::MAX)
    }

    fn finish(&self, answer: Wrapped<S, Req, F>, ended: Ended) -> Out<S, Req, F> {
        let settings = &self.shared.settings;
        let report = settings.report(&self.progress, ended);
        let unremarkable = matches!(ended, Ended::Success | Ended::NotRetryable);
        let tell = settings.tell_always || self.progress.attempts > 1 || !unremarkable;
        self.shared.flavor.finish(&self.call, answer, report, tell)
    }

    /// What to do after an answer; the next attempt, if there is one.
    fn decide(
        &mut self,
        judgment: Judgment,
        is_ours: bool,
    ) -> Result<(Duration, Attempt<Req, F>), Ended> {
        let (settings, flavor) = (&self.shared.settings, &self.shared.flavor);
        let call = &self.call;
        if !is_ours {
            settings.heard(judgment);
        }
        let may = (flavor.is_safe(call, judgment), flavor.can_repeat(call));
        match settings.after(&mut self.progress, judgment, may, || flavor.key(call)) {
            Verdict::Stop(ended) => Err(ended),
            // Asked for now, while there is still an answer to hand on.
            Verdict::Retry { after } => match flavor.again(&mut self.call) {
                Some(attempt) => Ok((after, attempt)),
                None => Err(Ended::NotReplayable),
            },
        }
    }

    /// Makes the service ready; `None` where the deadline comes first.
    fn poll_ready(
        &mut self,
        timer: &mut Option<Sleeping>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(), S::Error>>> {
        if self.time_left().is_zero() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(readied) = self.service.poll_ready(cx) {
            return Poll::Ready(Some(readied));
        }
        if self.progress.deadline.is_some() {
            let left = self.time_left();
            let sleep = || self.shared.settings.timer.sleep(left);
            ready!(Pin::new(timer.get_or_insert_with(sleep)).poll(cx));
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    /// What goes along with the next attempt, and for how long it may take.
    fn begin_attempt(&mut self, attempt: &mut Attempt<Req, F>) -> Option<Sleeping> {
        let (settings, progress) = (&self.shared.settings, &mut self.progress);
        progress.attempts = progress.attempts.saturating_add(1);
        let now = settings.now();
        if progress.attempts == 1 {
            settings.called(now);
        }
        let told = Told {
            number: progress.attempts,
            left: progress.time_left(now),
            tell_always: settings.tell_always,
        };
        self.shared.flavor.prepare(&self.call, attempt, told);
        let limit = settings.limit(progress, || now);
        limit.map(|limit| settings.timer.sleep(limit))
    }
}

impl<S, Req, F> Future for Slow<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt> + Clone,
{
    type Output = Out<S, Req, F>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let held = this.held;
        loop {
            match this.stage {
                Stage::Looking(looking) => {
                    let (response, judgment) = ready!(Pin::new(looking).poll(cx));
                    *this.stage = Stage::Judged(Some((Ok(response), judgment)));
                }
                Stage::Judged(judged) => {
                    let Some((answer, judgment)) = judged.take() else {
                        return Poll::Pending;
                    };
                    *this.stage = Stage::Over;
                    if let Err(Failed::Parked(_)) = answer {
                        return Poll::Ready(held.finish(answer, Ended::Parked));
                    }
                    let is_ours = answer.as_ref().is_ok_and(F::is_refused_here);
                    let (after, attempt) = match held.decide(judgment, is_ours) {
                        Ok(next) => next,
                        Err(ended) => return Poll::Ready(held.finish(answer, ended)),
                    };
                    *this.next = Some(attempt);
                    *this.stage = let_go(held, answer.ok(), after);
                }
                Stage::Discarding(discarding, wake_at) => {
                    ready!(Pin::new(discarding).poll(cx));
                    let settings = &held.shared.settings;
                    let left = wake_at.saturating_duration_since(settings.now());
                    *this.stage = Stage::asleep(held, left);
                }
                Stage::Sleeping(timer) => {
                    ready!(Pin::new(timer).poll(cx));
                    *this.stage = Stage::Passing;
                }
                Stage::Passing => {
                    let Held {
                        shared,
                        call,
                        progress,
                        ..
                    } = held;
                    let settings = &shared.settings;
                    let key = || shared.flavor.key(call);
                    *this.stage = match settings.passage(progress, settings.now(), key) {
                        Passage::Go => Stage::Readying(None),
                        Passage::Wait(wait) => Stage::Sleeping(settings.timer.sleep(wait)),
                        Passage::Refuse(wait) => {
                            let refused = (Err(Failed::Parked(wait)), Judgment::NotRetryable);
                            Stage::Judged(Some(refused))
                        }
                    };
                }
                Stage::Readying(timer) => {
                    let readied = match held.poll_ready(timer, cx) {
                        Poll::Ready(Some(readied)) => readied,
                        Poll::Ready(None) => {
                            *this.stage = Stage::Over;
                            return Poll::Ready(
                                held.finish(Err(Failed::TimedOut), Ended::Deadline),
                            );
                        }
                        Poll::Pending => return Poll::Pending,
                    };
                    if let Err(error) = readied {
                        *this.stage = Stage::Over;
                        let failed = Err(Failed::Inner(error));
                        return Poll::Ready(held.finish(failed, Ended::NotRetryable));
                    }
                    let Some(mut attempt) = this.next.take() else {
                        return Poll::Pending;
                    };
                    // The one that was readied is called, and the next attempt takes readiness anew.
                    let fresh = held.service.clone();
                    let mut ready = std::mem::replace(&mut held.service, fresh);
                    let timer = held.begin_attempt(&mut attempt);
                    this.calling.set(Some(ready.call(attempt)));
                    *this.stage = Stage::Calling(timer);
                }
                Stage::Calling(timer) => {
                    let Some(future) = this.calling.as_mut().as_pin_mut() else {
                        return Poll::Pending;
                    };
                    let answer = ready!(poll_attempt::<S, Req, F>(future, timer, cx));
                    this.calling.set(None);
                    let judged = held.shared.flavor.judge(&held.call, &answer);
                    *this.stage = Stage::of(answer, judged, held);
                }
                // Polled again after it was ready, it has nothing to say, as the contract allows.
                Stage::Over => return Poll::Pending,
            }
        }
    }
}

/// Lets the connection of a rejected response go before the wait.
fn let_go<S, Req, F>(
    held: &Held<S, Req, F>,
    response: Option<Response<S, Req, F>>,
    after: Duration,
) -> Stage<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    let settings = &held.shared.settings;
    let discarding = response.and_then(|response| {
        let flavor = &held.shared.flavor;
        flavor.discard(&held.call, response, &settings.timer, held.time_left())
    });
    match discarding {
        Some(discarding) => {
            let wake_at = settings.now().saturating_add(after);
            Stage::Discarding(discarding, wake_at)
        }
        None => Stage::asleep(held, after),
    }
}

impl<S, Req, F> Stage<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    fn asleep(held: &Held<S, Req, F>, wait: Duration) -> Self {
        if wait.is_zero() {
            Self::Passing
        } else {
            Self::Sleeping(held.shared.settings.timer.sleep(wait))
        }
    }
}
