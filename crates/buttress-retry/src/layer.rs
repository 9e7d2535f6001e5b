mod http;
mod typed;

use std::{fmt, sync::Arc};

use buttress_http::GrpcCode;
use tower_layer::Layer;

use crate::{
    Http, Judgment, Retry, RetryBuilder, Typed,
    flavor::{Codes, Options},
    shared::Shared,
};

/// Sends requests again, see the [crate's front page](crate).
///
/// `F` says how requests are sent again, and how answers are understood. All services that it makes, and all clones of
/// these, share their budget, their parks and their source of jitter.
pub struct RetryLayer<F = Http> {
    shared: Arc<Shared<F>>,
}

impl RetryLayer {
    /// For HTTP, and for gRPC calls that come along: see [`Http`].
    pub fn http() -> RetryBuilder<LayerFor<Http>> {
        RetryBuilder::starting_with(LayerFor::with(Http::with(Options::default())))
    }

    /// For gRPC alone: calls are repeated after these codes. They are your word that it does no harm, as the
    /// `retryableStatusCodes` of gRPC's own policies are; nothing in a call would tell.
    ///
    /// What comes without a code counts as the one that gRPC has for it: a connection that broke, and 429, 502, 503 and 504
    /// of a proxy, as `UNAVAILABLE`; a 429 also as `RESOURCE_EXHAUSTED`. An attempt that takes
    /// [too long](RetryBuilder::attempt_timeout) is repeated after `DEADLINE_EXCEEDED`, and after `UNAVAILABLE`: of a server
    /// that is silent one knows as little as of one whose connection broke, and whoever vouches for the latter vouches for the
    /// former. What was not processed is repeated whatever the codes are.
    ///
    /// ```
    /// use buttress_http::GrpcCode;
    /// use buttress_retry::RetryLayer;
    ///
    /// let layer = RetryLayer::grpc([GrpcCode::Unavailable, GrpcCode::ResourceExhausted]).build()?;
    /// # let _ = layer;
    /// # Ok::<(), buttress_retry::ConfigError>(())
    /// ```
    pub fn grpc(codes: impl IntoIterator<Item = GrpcCode>) -> RetryBuilder<LayerFor<Http>> {
        let options = Options {
            codes: Codes::of(codes),
            grpc_only: true,
            ..Options::default()
        };
        RetryBuilder::starting_with(LayerFor::with(Http::with(options)))
    }

    /// For any request that is `Clone`: a closure says what a result means. It is your word that a request may be
    /// repeated after what it calls transient.
    ///
    /// ```
    /// use buttress_retry::{Judgment, RetryLayer};
    /// use tower::{Layer as _, ServiceExt as _, service_fn};
    /// # use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let layer = RetryLayer::typed(|result: Result<&u32, &&str>| match result {
    ///     Ok(_) => Judgment::Success,
    ///     Err(&"busy") => Judgment::TRANSIENT,
    ///     Err(_) => Judgment::NotRetryable,
    /// })
    /// .build()?;
    /// let calls = AtomicU32::new(0);
    /// let service = layer.layer(service_fn(|request: u32| {
    ///     let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
    ///     async move { if first { Err("busy") } else { Ok(request + 1) } }
    /// }));
    /// assert_eq!(service.oneshot(1).await, Ok(2));
    /// # Ok(()) }
    /// ```
    pub fn typed<Rsp, E>(
        classifier: impl Fn(Result<&Rsp, &E>) -> Judgment + Send + Sync + 'static,
    ) -> RetryBuilder<LayerFor<Typed<Rsp, E>>> {
        RetryBuilder::starting_with(LayerFor::with(Typed::by(classifier)))
    }
}

impl<F> RetryLayer<F> {
    /// Lets everybody call every upstream again, whatever it asked for. Who waits for it goes on at once.
    pub fn unpark_all(&self) {
        if let Some(parks) = &self.shared.settings.parks {
            parks.clear_all();
        }
    }
}

impl<S, F> Layer<S> for RetryLayer<F> {
    type Service = Retry<S, F>;

    fn layer(&self, inner: S) -> Retry<S, F> {
        Retry::around(inner, Arc::clone(&self.shared))
    }
}

impl<F> Clone for RetryLayer<F> {
    // Derived, it would ask for `F: Clone`, which is shared.
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<F> fmt::Debug for RetryLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("shared", &self.shared)
            .finish()
    }
}

/// A [`RetryLayer`] is made.
#[derive(Debug)]
pub struct LayerFor<F> {
    flavor: F,
}

impl<F> LayerFor<F> {
    fn with(flavor: F) -> Self {
        Self { flavor }
    }

    fn map<G>(self, other: impl FnOnce(F) -> G) -> LayerFor<G> {
        LayerFor {
            flavor: other(self.flavor),
        }
    }
}
