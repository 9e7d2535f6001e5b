use std::sync::Arc;

use buttress_core::{
    ConfigError, DigestKey, Observer, Sleep,
    clock::{AnyClock, TokioClock},
};

use crate::{Event, signals::DEFAULT_THRESHOLDS, watcher::Watcher};

/// What a limiter takes from outside, so that a test can own it: as far as the user has given it.
#[derive(Default)]
pub(crate) struct Surroundings {
    pub(crate) clock: Option<AnyClock>,
    pub(crate) timer: Option<Arc<dyn Sleep>>,
    pub(crate) digest_key: Option<DigestKey>,
    pub(crate) observer: Option<Arc<dyn for<'a> Observer<Event<'a>>>>,
    pub(crate) near_limit: Option<Vec<u8>>,
}

impl Surroundings {
    pub(crate) fn clock(&self) -> AnyClock {
        self.clock.clone().unwrap_or_default()
    }

    pub(crate) fn timer(&self) -> Arc<dyn Sleep> {
        match &self.timer {
            Some(timer) => Arc::clone(timer),
            None => Arc::new(TokioClock::starting_now()),
        }
    }

    pub(crate) fn secret(&self) -> DigestKey {
        self.digest_key.unwrap_or_default()
    }

    /// Who watches the decisions, of so many keys at once.
    pub(crate) fn watcher(self, max_keys: usize) -> Result<Option<Watcher>, ConfigError> {
        let near_limit = self.near_limit.as_deref().unwrap_or(&DEFAULT_THRESHOLDS);
        Watcher::build(self.observer, near_limit, max_keys)
    }
}

/// The setters that the builders have in common, of those that are named: each builder keeps what they set in a
/// field `surroundings`.
macro_rules! setters {
    (@clock) => {
        /// The clock; [`TokioClock`](buttress_core::clock::TokioClock) if not given, which follows tokio's paused
        /// time.
        pub fn clock(mut self, clock: impl buttress_core::Clock) -> Self {
            self.surroundings.clock = Some(buttress_core::clock::AnyClock::of(clock));
            self
        }
    };
    (@timer) => {
        /// The timer of those who wait for their turn; tokio's if not given.
        pub fn timer(mut self, timer: impl buttress_core::Sleep) -> Self {
            self.surroundings.timer = Some(std::sync::Arc::new(timer));
            self
        }
    };
    (@digest_key) => {
        /// The secret under which keys are hashed; a random one if not given. Several processes that count in
        /// one [`Store`](crate::Store) have to be given the same.
        pub fn digest_key(mut self, secret: buttress_core::DigestKey) -> Self {
            self.surroundings.digest_key = Some(secret);
            self
        }
    };
    (@observer) => {
        /// Who hears of every decision: see [`Event`](crate::Event).
        pub fn observer(
            mut self,
            observer: impl for<'a> buttress_core::Observer<crate::Event<'a>>,
        ) -> Self {
            self.surroundings.observer = Some(std::sync::Arc::new(observer));
            self
        }
    };
    (@near_limit) => {
        /// At which percentages of its burst a key is [near its limit](crate::Event::NearLimit), 1 to 100, of
        /// which the observer is told; 50, 70 and 90 if not given, and none if given none.
        ///
        /// What was told is remembered in a table of its own, of 32 bytes for each key that there is room for, where there is an
        /// observer and a threshold. Each threshold that a key has crossed takes a place in it, under each policy; crossings
        /// for which there is none are not told.
        pub fn near_limit(mut self, percent: impl IntoIterator<Item = u8>) -> Self {
            self.surroundings.near_limit = Some(percent.into_iter().collect());
            self
        }
    };
    ($($name:ident),+) => {
        $($crate::surroundings::setters!(@$name);)+
    };
}
pub(crate) use setters;
