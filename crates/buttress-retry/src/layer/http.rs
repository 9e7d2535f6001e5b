//! What can be said of HTTP.

use std::{sync::Arc, time::Duration};

use buttress_core::{ConfigError, DigestKey, ExtractKey, clock::WallClock};
use buttress_http::{BodyHints, GrpcCode, Head};
use http::{HeaderMap, StatusCode};

use super::LayerFor;
use crate::{
    ClassifyError, Http, Judgment, KeyForm, RetryBuilder, RetryLayer,
    flavor::{DiscardLimits, Options, Trailers},
    shared::Shared,
};

impl<P, C> RetryLayer<Http<P, C>> {
    /// For how long the upstream that a request is for is parked.
    #[must_use]
    pub fn parked(&self, head: &Head) -> Option<Duration> {
        let Shared { settings, flavor } = &*self.shared;
        settings.parked(|| flavor.options().key_of(head))
    }

    /// Lets everybody call the upstream again that a request is for. Who waits for it goes on at once.
    pub fn unpark(&self, head: &Head) {
        let Shared { settings, flavor } = &*self.shared;
        settings.unpark(|| flavor.options().key_of(head));
    }
}

impl<P, C> RetryBuilder<LayerFor<Http<P, C>>> {
    /// What an answer means, where `closure` knows better than the [usual](Http): there it returns `Some`. Not asked
    /// about refusals that were made on this side.
    ///
    /// ```
    /// use buttress_retry::{Judgment, RetryLayer};
    ///
    /// let layer = RetryLayer::http()
    ///     .classify(|status, _headers| match status.as_u16() {
    ///         409 => Some(Judgment::TRANSIENT), // this upstream says so while it is locked
    ///         _ => None,
    ///     })
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<(), buttress_retry::ConfigError>(())
    /// ```
    pub fn classify(
        mut self,
        closure: impl Fn(StatusCode, &HeaderMap) -> Option<Judgment> + Send + Sync + 'static,
    ) -> Self {
        self.options().classifier = Some(Arc::new(closure));
        self
    }

    /// What the service's errors mean: a closure over `&E`, or another [`ClassifyError`], such as `HyperErrors` with the
    /// feature `hyper`. [`Judgment::TRANSIENT`] if not given.
    pub fn classify_errors<D>(self, errors: D) -> RetryBuilder<LayerFor<Http<P, D>>> {
        self.map(|made| made.map(|flavor| flavor.errors(errors)))
    }

    /// As [`classify_errors`](Self::classify_errors), for a closure whose parameter the compiler cannot infer.
    pub fn classify_error<E, D>(self, closure: D) -> RetryBuilder<LayerFor<Http<P, D>>>
    where
        D: Fn(&E) -> Judgment + ClassifyError<E>,
    {
        self.classify_errors(closure)
    }

    /// What keeps bodies to send them again; [`Buffered`](crate::Buffered) up to 64 KiB if not given.
    ///
    /// With [`Cloned`](crate::Cloned) the service inside takes the same request type as the layer.
    pub fn replay<Q>(self, replay: Q) -> RetryBuilder<LayerFor<Http<Q, C>>> {
        self.map(|made| made.map(|flavor| flavor.replay(replay)))
    }

    /// Which requests may be repeated, whatever their method says: your word that it does no harm.
    pub fn repeatable(mut self, closure: impl Fn(&Head) -> bool + Send + Sync + 'static) -> Self {
        self.options().repeatable = Some(Arc::new(closure));
        self
    }

    /// Whether requests of any method may be repeated that were refused as one too many: your word that this upstream
    /// does nothing for a request that it answers with 429, or with what vendors say in its place: GitHub's 403, AWS's 400,
    /// gRPC's `RESOURCE_EXHAUSTED`. It says nothing of a failure (5xx), also of one that tells when to come back, as 503 and 529
    /// may. False if not given, for no standard promises that.
    pub fn repeat_throttled(mut self, repeat: bool) -> Self {
        self.options().repeat_throttled = repeat;
        self
    }

    /// Adds an `Idempotency-Key` to requests that need one to be repeated and have none: one for each request, the same
    /// on all of its attempts. It is your word that the upstream knows it: one that does not may do a request twice.
    /// CONNECT and calls of gRPC get none.
    pub fn idempotency_keys(mut self, form: KeyForm) -> Self {
        self.options().idempotency_key = Some(form);
        self
    }

    /// Whom a "too many" is about; [`UpstreamAndCredential`](crate::UpstreamAndCredential) if not given. Requests
    /// without a key share one.
    pub fn park_by(mut self, key: impl ExtractKey<Head>) -> Self {
        self.options().park_by = Arc::new(key);
        self
    }

    /// The secret under which keys of parks are hashed, and an `Idempotency-Key` is made; a random one if not given.
    pub fn digest_key(mut self, secret: DigestKey) -> Self {
        self.options().secret = secret;
        self
    }

    /// What the bodies of refusals mean; the vendors' table if not given. At most 4 KiB of a body are read, and for at most
    /// so long, 1 s if not given: of every 429, 503 and 529 whose head does not name the cause, for only the body tells a
    /// billing quota from a rate. One that is compressed, or no text, is not read.
    pub fn body_hints(mut self, hints: BodyHints, within: Duration) -> Self {
        let options = self.options();
        options.hints = hints;
        options.look_within = within;
        self
    }

    /// Withholds gRPC responses until their status is there, so that one that comes in trailers is seen: for the calls
    /// for which `unary` is true, up to so many bytes and for so long. What is longer is handed on as it is.
    ///
    /// Only for calls with one answer. Of others the caller would wait for what the server sends only after the next
    /// message of the caller.
    pub fn await_trailers(
        mut self,
        max_bytes: usize,
        within: Duration,
        unary: impl Fn(&Head) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.options().trailers = Some(Trailers {
            max_bytes,
            within,
            which: Arc::new(unary),
        });
        self
    }

    /// How much of a rejected response is read, and for how long, so that its connection can be used again; 16 KiB and
    /// 50 ms if not given. What is longer is dropped, before anything is waited for. With 0 bytes all are.
    pub fn drain(mut self, bytes: usize, within: Duration) -> Self {
        self.options().discard = DiscardLimits { bytes, within };
        self
    }

    /// What dates on the wire are reckoned on; the system's clock if not given.
    pub fn wall_clock(mut self, clock: impl WallClock) -> Self {
        self.options().wall_clock = Arc::new(clock);
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// As of [`RetryPolicy`](crate::RetryBuilder::build), where there are more than 1,048,576 parks, a time to look into a
    /// body, to drain it or to await trailers cannot work, and where there is no code of gRPC to repeat calls after, or
    /// `OK` is one.
    pub fn build(self) -> Result<RetryLayer<Http<P, C>>, ConfigError> {
        let codes = self.made.flavor.options().codes;
        if codes.is_empty() || codes.has(GrpcCode::Ok) {
            let given = format!("{codes:?}");
            return Err(ConfigError::new("codes", given, "at least one, and not OK"));
        }
        self.made.flavor.options().check()?;
        let (settings, LayerFor { flavor }) = self.parts()?;
        Ok(RetryLayer {
            shared: Arc::new(Shared { settings, flavor }),
        })
    }

    fn options(&mut self) -> &mut Options {
        self.made.flavor.options_mut()
    }
}
