use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use buttress_core::Tick;
use tower_service::Service;

use super::{Answer, Attempt, Out, Stage, alarm::Alarm, between::Between};
use crate::{
    Ended, Flavor, Judgment, Outgoing, RetryDecision,
    decide::time_left,
    error::Failed,
    flavor::{Judged, Told},
    progress::Progress,
    settings::{After, Hold},
    shared::Shared,
};

type Wrapped<S, Req, F> = Result<
    <F as Flavor<
        Req,
        <S as Service<Attempt<Req, F>>>::Response,
        <S as Service<Attempt<Req, F>>>::Error,
    >>::Response,
    Failed<<S as Service<Attempt<Req, F>>>::Error>,
>;

/// What a call holds over all of its attempts.
pub(crate) struct Held<S, Req, F>
where
    F: Outgoing<Req>,
{
    pub(crate) service: S,
    pub(crate) shared: Arc<Shared<F>>,
    pub(crate) call: F::Call,
    pub(crate) progress: Progress,
}

/// A call that is dropped before it makes a retry that it was granted, or finds that it may not be made, gives it back.
impl<S, Req, F> Drop for Held<S, Req, F>
where
    F: Outgoing<Req>,
{
    #[inline]
    fn drop(&mut self) {
        self.shared.settings.not_made(&mut self.progress);
    }
}

impl<S, Req, F> Held<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    /// At the first attempt.
    #[inline]
    pub(super) fn succeeded(&self) {
        self.shared.settings.budget.succeeded();
    }

    /// The same, and somebody wants to know.
    pub(super) fn told_of_success(&self, response: S::Response) -> Out<S, Req, F> {
        let settings = &self.shared.settings;
        let report = settings.over(&self.progress, Ended::Success);
        let flavor = &self.shared.flavor;
        flavor.finish(
            &self.call,
            Ok(F::wrap(response)),
            report,
            settings.tell_always,
        )
    }

    /// What an answer leads to: the outcome, or else the next stage.
    pub(super) fn answered(
        &mut self,
        answer: Answer<S, Req, F>,
        judged: Judged,
        mut stage: Pin<&mut Stage<S, Req, F>>,
        cx: &mut Context<'_>,
    ) -> Option<Out<S, Req, F>>
    where
        S: Clone,
    {
        match (answer, judged) {
            (Ok(response), Judged::Look) => {
                let Shared { flavor, settings } = &*self.shared;
                let now = settings.now();
                let left = time_left(self.progress.deadline, now);
                let looking = flavor.look(&self.call, response, &settings.timer, left);
                stage.set(Stage::between(Between::looking(looking, now)));
                None
            }
            (answer, Judged::Known(judgment)) => {
                self.judged(answer.map(F::wrap), judgment, None, stage, cx)
            }
            // There is nothing to look into.
            (Err(failed), Judged::Look) => {
                self.judged(Err(failed), Judgment::NotRetryable, None, stage, cx)
            }
        }
    }

    /// As [`answered`](Self::answered), where all is known of the answer; `since` is from when what it told counts, if
    /// that is not now.
    pub(super) fn judged(
        &mut self,
        answer: Wrapped<S, Req, F>,
        judgment: Judgment,
        since: Option<Tick>,
        mut stage: Pin<&mut Stage<S, Req, F>>,
        cx: &mut Context<'_>,
    ) -> Option<Out<S, Req, F>>
    where
        S: Clone,
    {
        let (settings, flavor) = (&self.shared.settings, &self.shared.flavor);
        let call = &self.call;
        if !answer.as_ref().is_ok_and(F::is_refused_here) {
            settings.heard(judgment);
        }
        let is_safe = flavor.is_safe(call, &answer, judgment);
        let may = (is_safe, flavor.can_repeat(call));
        let after = settings.after(&mut self.progress, judgment, since, may, || {
            flavor.key(call)
        });
        let wait = match after.decision {
            RetryDecision::Stop(ended) => return Some(self.finish(answer, ended)),
            RetryDecision::Retry { after } => after,
        };
        // Asked for now, while there is still an answer to hand on.
        let Some(next) = flavor.again(&mut self.call, settings.is_last(&self.progress)) else {
            settings.not_made(&mut self.progress);
            return Some(self.finish(answer, Ended::NotReplayable));
        };
        settings.retries(&self.progress, wait, judgment);

        // The connection of a rejected response is let go before the wait.
        let discarding = answer.ok().and_then(|response| {
            let timer = &settings.timer;
            flavor.discard(&self.call, response, timer, || self.time_left())
        });
        let After { now, lift, .. } = after;
        let until = now.saturating_add(wait);
        let between = match discarding {
            Some(discarding) => Between::discarding(discarding, until, lift, next),
            None if wait.is_zero() && !settings.is_anybody_parked(now) => {
                match self.service.poll_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        self.call(next, now, stage);
                        return None;
                    }
                    Poll::Ready(Err(error)) => {
                        let failed = Err(Failed::Inner(error));
                        return Some(self.finish(failed, Ended::NotRetryable));
                    }
                    Poll::Pending => Between::readying(self.progress.deadline, next),
                }
            }
            None => Between::sleeping(until, lift, next),
        };
        stage.set(Stage::between(between));
        None
    }

    /// Whether the next attempt may not go: its upstream is parked.
    pub(super) fn hold(&mut self, now: Tick) -> Option<Hold> {
        let Self {
            shared,
            call,
            progress,
            ..
        } = self;
        let key = || shared.flavor.key(call);
        shared.settings.hold(progress, now, key)
    }

    /// Until the deadline; for ever where there is none.
    pub(super) fn time_left(&self) -> Duration {
        // Most calls have none, and need not read the clock.
        let left = |_| self.progress.time_left(self.shared.settings.now());
        self.progress
            .deadline
            .and_then(left)
            .unwrap_or(Duration::MAX)
    }

    pub(super) fn finish(&self, answer: Wrapped<S, Req, F>, ended: Ended) -> Out<S, Req, F> {
        let settings = &self.shared.settings;
        let report = settings.over(&self.progress, ended);
        let unremarkable = matches!(ended, Ended::Success | Ended::NotRetryable);
        let tell = settings.tell_always || self.progress.attempts > 1 || !unremarkable;
        self.shared.flavor.finish(&self.call, answer, report, tell)
    }

    /// Calls the service, which was made ready; the next attempt takes readiness anew.
    pub(super) fn call(
        &mut self,
        mut attempt: Attempt<Req, F>,
        now: Tick,
        mut stage: Pin<&mut Stage<S, Req, F>>,
    ) where
        S: Clone,
    {
        let (settings, progress) = (&self.shared.settings, &mut self.progress);
        settings.attempt(progress, now);
        let told = Told {
            number: progress.attempts,
            left: progress.time_left(now),
            tell_always: settings.tell_always,
        };
        self.shared.flavor.prepare(&self.call, &mut attempt, told);
        let limit = settings.limit(progress, now).map(Alarm::at);
        let fresh = self.service.clone();
        let mut ready = std::mem::replace(&mut self.service, fresh);
        let future = ready.call(attempt);
        stage.set(Stage::Attempting { future, limit });
    }
}
