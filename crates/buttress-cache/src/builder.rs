use std::{fmt, sync::Arc, time::Duration};

#[cfg(feature = "rt")]
use buttress_core::TokioExecutor;
use buttress_core::{
    Clock, ConfigError, DigestKey, Executor, ExtractKey, Observer, Sleep,
    clock::{AnyClock, SystemWallClock, TokioClock, WallClock},
};
use buttress_http::Head;
use http::HeaderName;

use crate::{
    CacheLayer, Event, OnDisconnect,
    budget::Budget,
    epochs::Epochs,
    flights::Flights,
    hit_for_miss::{self, HitForMiss},
    rfc9111::{CacheStatus, FieldPattern, Heuristic, Options, SetCookie},
    settings::Settings,
    shared::Shared,
    stats::Counts,
    store::{Memory, Store},
};

const MEBIBYTE: usize = 1024 * 1024;

/// Of the capacity, the share that bodies may take that are on their way into the store.
const ON_THEIR_WAY: usize = 8;

/// The least that is of use as the largest entry, in bytes: a head of twenty fields takes 3 KiB.
const SMALLEST: usize = 4 * 1024;

/// Configures a [`CacheLayer`]: [`CacheLayer::shared`] and [`CacheLayer::private`] make one.
#[must_use]
pub struct CacheLayerBuilder {
    options: Options,
    name: String,
    scheme: String,
    capacity: usize,
    largest: Option<usize>,
    slow_readers: Option<usize>,
    on_disconnect: OnDisconnect,
    collapse_wait: Duration,
    hit_for_miss: Duration,
    patience: Duration,
    background: Duration,
    partition: Option<Arc<dyn ExtractKey<Head>>>,
    bypass: Option<Arc<crate::settings::Bypass>>,
    observer: Option<Arc<crate::settings::SharedObserver>>,
    store: Option<Arc<dyn Store>>,
    executor: Option<Arc<dyn Executor>>,
    wall: Arc<dyn WallClock>,
    clock: AnyClock,
    timer: Arc<dyn Sleep>,
    secret: DigestKey,
}

impl CacheLayerBuilder {
    pub(crate) fn with(options: Options) -> Self {
        Self {
            options,
            name: String::from("Buttress"),
            scheme: String::from("http"),
            capacity: 64 * MEBIBYTE,
            largest: None,
            slow_readers: None,
            on_disconnect: OnDisconnect::Finish {
                within: Duration::from_secs(10),
            },
            collapse_wait: Duration::from_secs(10),
            hit_for_miss: Duration::from_secs(120),
            patience: Duration::from_secs(5),
            background: Duration::from_secs(60),
            partition: None,
            bypass: None,
            observer: None,
            store: None,
            #[cfg(feature = "rt")]
            executor: Some(Arc::new(TokioExecutor)),
            #[cfg(not(feature = "rt"))]
            executor: None,
            wall: Arc::new(SystemWallClock),
            clock: AnyClock::default(),
            timer: Arc::new(TokioClock::starting_now()),
            secret: DigestKey::random(),
        }
    }

    /// How many bytes the store in memory may take: bodies, header fields and overhead. 64 MiB unless
    /// told otherwise. Bodies that are on their way into it may take an eighth of that beside it, or as much as
    /// [`largest_entry`](Self::largest_entry) where that is more.
    pub const fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes;
        self
    }

    /// How many bytes the largest entry may take: what is larger streams through, and is not stored. A
    /// sixteenth of the capacity unless told otherwise; 4096 at least, since header fields and overhead count.
    pub const fn largest_entry(mut self, bytes: usize) -> Self {
        self.largest = Some(bytes);
        self
    }

    /// Keeps responses elsewhere than in this process's memory. [`capacity`](Self::capacity) then only
    /// bounds what is on its way.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// How long a response is fresh that says nothing of it, but has a `Last-Modified` (RFC 9111 §4.2.2);
    /// `None` never guesses. The fraction is above 0, and 1 at most.
    pub fn heuristic(mut self, heuristic: Option<Heuristic>) -> Self {
        self.options.heuristic = heuristic;
        self
    }

    /// The targeted fields that go before `Cache-Control` (RFC 9213), such as `CDN-Cache-Control`: the
    /// first that a response has. None unless told otherwise.
    pub fn targeted_fields(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.options.targeted = names.into_iter().collect();
        self
    }

    /// What to do with a response that sets a cookie. A shared cache refuses to store it unless told
    /// otherwise, since replaying one gives a session away.
    pub fn set_cookie(mut self, set_cookie: SetCookie) -> Self {
        self.options.set_cookie = set_cookie;
        self
    }

    /// For how long a stale response is served while it is validated in the background, where it does
    /// not say so itself (RFC 5861). Not at all unless told otherwise.
    pub const fn stale_while_revalidate(mut self, span: Duration) -> Self {
        self.options.stale_while_revalidate = span;
        self
    }

    /// For how long a stale response is served when the origin answers with 500, 502, 503 or 504, where it
    /// does not say so itself (RFC 5861). Not at all unless told otherwise.
    pub const fn stale_if_error(mut self, span: Duration) -> Self {
        self.options.stale_if_error = span;
        self
    }

    /// For how long a stale response is served when the origin does not answer at all: the inner service
    /// fails. Where the response has `stale-if-error`, that holds. Without a bound unless told otherwise, as RFC 9111
    /// §4.2.4 allows.
    pub const fn stale_if_unreachable(mut self, span: Duration) -> Self {
        self.options.stale_if_unreachable = span;
        self
    }

    /// Which fields of a response are never stored, beside those that are of a connection. Those that tell of rate
    /// limits unless told otherwise, or one tenant's remaining quota would be shown to the next: what is told takes
    /// their place, and [`FieldPattern::rate_limits`] are those.
    pub fn never_stored(mut self, fields: impl IntoIterator<Item = FieldPattern>) -> Self {
        self.options.never_stored = fields.into_iter().collect();
        self
    }

    /// The name of this cache in `Cache-Status` (RFC 9211). `Buttress` unless told otherwise.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// The scheme of requests whose target does not name one: what clients use, even if a proxy in
    /// between took the TLS off. `http` unless told otherwise.
    pub fn scheme(mut self, scheme: &str) -> Self {
        self.scheme = scheme.to_owned();
        self
    }

    /// Keeps the responses of each tenant, or whatever `extractor` finds, for themselves.
    ///
    /// A request without such a key passes untouched. An unsafe request invalidates what is stored for
    /// its own tenant.
    pub fn partition_by(mut self, extractor: impl ExtractKey<Head>) -> Self {
        self.partition = Some(Arc::new(extractor));
        self
    }

    /// Requests for which `bypass` is true are neither answered from the store nor stored; unsafe ones
    /// still invalidate.
    pub fn bypass(mut self, bypass: impl Fn(&Head) -> bool + Send + Sync + 'static) -> Self {
        self.bypass = Some(Arc::new(bypass));
        self
    }

    /// What becomes of a fetch when everybody who waited for it has left. It goes on for ten seconds
    /// unless told otherwise.
    pub const fn on_disconnect(mut self, on_disconnect: OnDisconnect) -> Self {
        self.on_disconnect = on_disconnect;
        self
    }

    /// For how long a request waits for the answer to another one like it, before it goes on by itself.
    /// Ten seconds unless told otherwise.
    pub const fn collapse_wait(mut self, span: Duration) -> Self {
        self.collapse_wait = span;
        self
    }

    /// For how long it is remembered of a target that its answers are not stored, or not for all who ask:
    /// requests for it then neither wait for each other nor are waited for, and where nothing can be stored they go
    /// straight to the inner service, as Varnish's *hit-for-miss* has it. In whole seconds, of which a begun one
    /// counts; ten years at most. Two minutes since the last such answer unless told otherwise; zero remembers
    /// nothing.
    ///
    /// The first answer that may be stored is stored, and ends it. So do [`Cache::invalidate`](crate::Cache::invalidate)
    /// and [`Cache::clear`](crate::Cache::clear). A request that goes straight on is cancelled when its client
    /// leaves, whatever [`on_disconnect`](Self::on_disconnect) says.
    pub const fn hit_for_miss(mut self, span: Duration) -> Self {
        self.hit_for_miss = span;
        self
    }

    /// How many bytes may be held in all for those who have not read a body when it has come to its end, or
    /// has outgrown the largest entry. An eighth of the capacity unless told otherwise.
    ///
    /// Beyond it a reader has [`patience`](Self::patience) for what it lacks. Then it gets what the store still
    /// has, and is cut off where that is nothing: its body ends in an error that
    /// [`is_too_slow`](crate::BodyError::is_too_slow).
    pub const fn slow_readers(mut self, bytes: usize) -> Self {
        self.slow_readers = Some(bytes);
        self
    }

    /// For how long in all the slow readers of a body may hold back others who read it too, if it is too large
    /// to be stored, before they are cut off. However often they read a little, this is all that a body's
    /// others wait for them. Five seconds unless told otherwise.
    pub const fn patience(mut self, span: Duration) -> Self {
        self.patience = span;
        self
    }

    /// How long a validation in the background may take. A minute unless told otherwise.
    pub const fn background_timeout(mut self, span: Duration) -> Self {
        self.background = span;
        self
    }

    /// Tells `observer` of every decision.
    pub fn observer(mut self, observer: impl for<'a> Observer<Event<'a>>) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Where dates and ages come from. The system's calendar time unless told otherwise.
    pub fn wall_clock(mut self, clock: impl WallClock) -> Self {
        self.wall = Arc::new(clock);
        self
    }

    /// What tells how long a reader has held others back. Tokio's clock unless told otherwise.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = AnyClock::of(clock);
        self
    }

    /// What waiting is timed by. Tokio's timer unless told otherwise.
    pub fn timer(mut self, timer: impl Sleep) -> Self {
        self.timer = Arc::new(timer);
        self
    }

    /// Where fetches are worked on. The tokio runtime of whoever calls, unless told otherwise.
    pub fn executor(mut self, executor: impl Executor) -> Self {
        self.executor = Some(Arc::new(executor));
        self
    }

    /// The secret under which keys are hashed, where several processes share a store.
    pub const fn digest_key(mut self, secret: DigestKey) -> Self {
        self.secret = secret;
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// Where the name cannot stand in `Cache-Status`, the scheme is none, the heuristic's fraction is none, the
    /// largest entry is below 4096 bytes, the store in memory has not room for four of them, a waiting time is
    /// zero, hit-for-miss lasts for longer than ten years, or there is no executor.
    pub fn build(self) -> Result<CacheLayer, ConfigError> {
        if CacheStatus::hit(0).value(&self.name).is_none() {
            let expected = "printable ASCII (RFC 9651)";
            return Err(ConfigError::new("name", self.name, expected));
        }
        if http::uri::Scheme::try_from(self.scheme.as_str()).is_err() {
            return Err(ConfigError::new(
                "scheme",
                self.scheme,
                "a URI scheme, such as https",
            ));
        }
        for (field, span) in [
            ("collapse_wait", self.collapse_wait),
            ("patience", self.patience),
            ("background_timeout", self.background),
        ] {
            if span.is_zero() {
                return Err(ConfigError::new(field, "0s", "more than no time"));
            }
        }
        if self.hit_for_miss > hit_for_miss::LONGEST {
            let value = format!("{:?}", self.hit_for_miss);
            return Err(ConfigError::new("hit_for_miss", value, "ten years at most"));
        }
        if let Some(Heuristic { fraction, .. }) = self.options.heuristic
            && !(fraction > 0.0 && fraction <= 1.0)
        {
            let expected = "a share above 0, and 1 at most; or no heuristic";
            return Err(ConfigError::new("heuristic.fraction", fraction, expected));
        }
        let largest = self.largest.unwrap_or(self.capacity / 16);
        if largest < SMALLEST {
            let (field, value) = match self.largest {
                Some(largest) => ("largest_entry", largest),
                None => ("capacity", self.capacity),
            };
            let expected =
                format!("room for entries of {SMALLEST} bytes, which fields alone may take");
            return Err(ConfigError::new(field, value, expected));
        }
        let store = match self.store {
            Some(store) => store,
            None => Arc::new(Memory::of(self.capacity, largest)?),
        };
        let executor = self.executor.ok_or_else(|| {
            ConfigError::new("executor", "none", "one, or the feature `rt` of this crate")
        })?;
        Ok(CacheLayer::of(Shared {
            options: self.options,
            settings: Settings {
                name: self.name.into(),
                // As that of a URI is told: by this its default port is known.
                scheme: self.scheme.to_ascii_lowercase().into(),
                largest,
                on_disconnect: self.on_disconnect,
                collapse_wait: self.collapse_wait,
                patience: self.patience,
                background: self.background,
                partition: self.partition,
                bypass: self.bypass,
                observer: self.observer,
            },
            store,
            flights: Arc::new(Flights::new()),
            hit_for_miss: HitForMiss::lasting(self.hit_for_miss),
            epochs: Arc::new(Epochs::new()),
            // One of the largest must find room in any case.
            budget: Budget::of((self.capacity / ON_THEIR_WAY).max(largest)),
            readers: Budget::of(self.slow_readers.unwrap_or(self.capacity / ON_THEIR_WAY)),
            secret: self.secret,
            wall: self.wall,
            clock: self.clock,
            timer: self.timer,
            executor,
            counts: Counts::default(),
        }))
    }
}

impl fmt::Debug for CacheLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayerBuilder")
            .field("options", &self.options)
            .field("name", &self.name)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
