use std::{
    pin::Pin,
    task::{Context, Poll},
};

use buttress_core::{Tick, clock::Sleeping};

use crate::settings::Settings;

/// A time that is waited for. It is reckoned from when it was set: a future that is first polled late, or never, does
/// not put it off. The timer is made when there is something to wait for.
pub(crate) struct Alarm {
    at: Tick,
    timer: Option<Sleeping>,
}

impl Alarm {
    pub(crate) const fn at(at: Tick) -> Self {
        Self { at, timer: None }
    }

    pub(crate) fn poll(&mut self, settings: &Settings, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.is_none() {
            let left = self.at.saturating_duration_since(settings.now());
            if left.is_zero() {
                return Poll::Ready(());
            }
            self.timer = Some(settings.timer.sleep(left));
        }
        match &mut self.timer {
            Some(timer) => Pin::new(timer).poll(cx),
            None => Poll::Ready(()),
        }
    }
}
