use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use buttress_core::{Tick, readiness};
use tower_service::Service;

use super::{Attempt, Held, Out, alarm::Alarm};
use crate::{Ended, Flavor, Judgment, Outgoing, error::Failed, parks::Lift, settings::Hold};

type Rsp<S, Req, F> = <S as Service<Attempt<Req, F>>>::Response;
type Err<S, Req, F> = <S as Service<Attempt<Req, F>>>::Error;
type Looking<S, Req, F> = <F as Flavor<Req, Rsp<S, Req, F>, Err<S, Req, F>>>::Looking;
type Discarding<S, Req, F> = <F as Flavor<Req, Rsp<S, Req, F>, Err<S, Req, F>>>::Discarding;
type Response<S, Req, F> = <F as Flavor<Req, Rsp<S, Req, F>, Err<S, Req, F>>>::Response;

/// What there is between two attempts: look into the answer, let it go, wait, make a fresh service ready.
pub(crate) struct Between<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    stage: Stage<S, Req, F>,
    /// What is sent next; `None` where that is not decided.
    next: Option<Attempt<Req, F>>,
}

/// Where a call goes on.
pub(super) enum Turn<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    /// It is known what this response means, and from when what it told counts, if that is not now.
    Judged(Response<S, Req, F>, Judgment, Option<Tick>),
    /// The service is ready for this attempt.
    Call(Attempt<Req, F>, Tick),
    Over(Out<S, Req, F>),
}

enum Stage<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    /// Into what came then.
    Looking(Looking<S, Req, F>, Tick),
    /// And then asleep until then.
    Discarding(Discarding<S, Req, F>, Tick, Option<Lift>),
    /// Until a time or, where that is the end of a park, until it is lifted.
    Sleeping(Alarm, Option<Lift>),
    /// Before a parked upstream, or not.
    Passing(Tick),
    /// Until the deadline, if there is one; and the time, where one has just passed.
    Readying(Option<Tick>, Option<Alarm>),
    /// It will not be called: the upstream is parked for so long.
    Refused(Duration),
    Over,
}

impl<S, Req, F> Stage<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    fn of(hold: Hold) -> Self {
        match hold {
            Hold::Wait(until, lift) => Self::Sleeping(Alarm::at(until), Some(lift)),
            Hold::Refuse(span) => Self::Refused(span),
        }
    }
}

impl<S, Req, F> Between<S, Req, F>
where
    F: Outgoing<Req> + Flavor<Req, S::Response, S::Error>,
    S: Service<<F as Outgoing<Req>>::Attempt>,
{
    pub(super) fn looking(looking: Looking<S, Req, F>, answered: Tick) -> Self {
        Self::at(Stage::Looking(looking, answered), None)
    }

    pub(super) fn discarding(
        discarding: Discarding<S, Req, F>,
        until: Tick,
        lift: Option<Lift>,
        next: Attempt<Req, F>,
    ) -> Self {
        Self::at(Stage::Discarding(discarding, until, lift), Some(next))
    }

    pub(super) fn sleeping(until: Tick, lift: Option<Lift>, next: Attempt<Req, F>) -> Self {
        Self::at(Stage::Sleeping(Alarm::at(until), lift), Some(next))
    }

    pub(super) fn readying(deadline: Option<Tick>, next: Attempt<Req, F>) -> Self {
        Self::at(Stage::Readying(None, deadline.map(Alarm::at)), Some(next))
    }

    pub(super) fn held_back(hold: Hold, next: Attempt<Req, F>) -> Self {
        Self::at(Stage::of(hold), Some(next))
    }

    #[inline]
    fn at(stage: Stage<S, Req, F>, next: Option<Attempt<Req, F>>) -> Self {
        Self { stage, next }
    }

    pub(super) fn poll(
        &mut self,
        held: &mut Held<S, Req, F>,
        cx: &mut Context<'_>,
    ) -> Poll<Turn<S, Req, F>>
    where
        S: Clone,
    {
        loop {
            let next = match &mut self.stage {
                Stage::Looking(looking, answered) => {
                    let looked = ready!(Pin::new(looking).poll(cx));
                    let since = looked.told_by_head.then_some(*answered);
                    self.stage = Stage::Over;
                    let turn = Turn::Judged(looked.response, looked.judgment, since);
                    return Poll::Ready(turn);
                }
                Stage::Discarding(discarding, until, lift) => {
                    ready!(Pin::new(discarding).poll(cx));
                    Stage::Sleeping(Alarm::at(*until), lift.take())
                }
                Stage::Sleeping(alarm, lift) => {
                    let is_lifted = lift.as_mut().is_some_and(|lift| lift.poll(cx).is_ready());
                    if !is_lifted {
                        ready!(alarm.poll(&held.shared.settings, cx));
                    }
                    Stage::Passing(held.shared.settings.now())
                }
                Stage::Passing(now) => match held.hold(*now) {
                    None => {
                        let alarm = held.progress.deadline.map(Alarm::at);
                        Stage::Readying(Some(*now), alarm)
                    }
                    Some(hold) => Stage::of(hold),
                },
                Stage::Readying(passed, alarm) => {
                    let passed = passed.take();
                    let now = passed.unwrap_or_else(|| held.shared.settings.now());
                    let readied = if held.progress.is_over(now) {
                        None
                    } else if let Poll::Ready(readied) = held.service.poll_ready(cx) {
                        Some(readied)
                    } else if let Some(alarm) = alarm {
                        ready!(alarm.poll(&held.shared.settings, cx));
                        None
                    } else {
                        return Poll::Pending;
                    };
                    // It may have been parked while one stood in line for the service.
                    if passed.is_none()
                        && matches!(readied, Some(Ok(())))
                        && let Some(hold) = held.hold(now)
                    {
                        readiness::release(&mut held.service);
                        self.stage = Stage::of(hold);
                        continue;
                    }
                    self.stage = Stage::Over;
                    return match (readied, self.next.take()) {
                        (Some(Ok(())), Some(attempt)) => Poll::Ready(Turn::Call(attempt, now)),
                        (Some(Ok(())), None) => Poll::Pending,
                        (Some(Err(error)), _) => {
                            let failed = Err(Failed::Inner(error));
                            Poll::Ready(Turn::Over(held.finish(failed, Ended::NotRetryable)))
                        }
                        (None, _) => {
                            let late = Err(Failed::TimedOut);
                            Poll::Ready(Turn::Over(held.finish(late, Ended::Deadline)))
                        }
                    };
                }
                Stage::Refused(span) => {
                    let refused = Err(Failed::Parked(*span));
                    self.stage = Stage::Over;
                    return Poll::Ready(Turn::Over(held.finish(refused, Ended::Parked)));
                }
                // Polled again after it was ready, it has nothing to say, as the contract allows.
                Stage::Over => return Poll::Pending,
            };
            self.stage = next;
        }
    }
}
