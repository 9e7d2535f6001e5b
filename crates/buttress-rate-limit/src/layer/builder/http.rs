use std::sync::Arc;

use buttress_core::ConfigError;
use buttress_http::{FieldStyle, Head};

use super::RateLimitLayerBuilder;
use crate::{
    AsResponse, Meter, RateLimitLayer,
    refuse::{by_body, by_head},
};

impl RateLimitLayerBuilder<Head, AsResponse> {
    /// In which fields callers read how they stand, on admitted and refused requests alike;
    /// [`FieldStyle::Draft11`] if not given.
    pub fn fields(mut self, style: FieldStyle) -> Self {
        self.draft.style = style;
        self
    }

    /// Tells of the limits of a layer further in, too: its fields go on behind this layer's, in one line. Where the style
    /// has room for one policy, the inner layer's stays, which knows more of the caller. Without it this layer's fields
    /// take the place of those that stand there.
    ///
    /// For the outer one of two layers of the same style: a limit by address before authentication, and the tenants' behind
    /// it. What an upstream says of limits of its own is only told apart from an inner layer's by that layer, which replaces
    /// it.
    ///
    /// ```
    /// use std::convert::Infallible;
    ///
    /// use buttress_rate_limit::{Policy, RateLimitLayer};
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let service = ServiceBuilder::new()
    ///     .layer(RateLimitLayer::http(Policy::new("door", "100/s")).join_fields().build()?)
    ///     // .layer(authentication)
    ///     .layer(RateLimitLayer::http(Policy::new("tenant", "10/s")).build()?)
    ///     .service(service_fn(|_: Request<String>| async {
    ///         Ok::<_, Infallible>(Response::new(String::new()))
    ///     }));
    /// let response = service.oneshot(Request::new(String::new())).await?;
    /// assert_eq!(response.headers()["ratelimit"], r#""door";r=99;t=1, "tenant";r=9;t=1"#);
    /// # Ok(()) }
    /// ```
    pub fn join_fields(mut self) -> Self {
        self.draft.joins_fields = true;
        self
    }

    /// Settles the `policy` of this name by the response: `rule` reads its head, and returns what the
    /// request truly cost, or `None` to leave it as it was charged. So is left what fails, or is given up before it was
    /// answered.
    ///
    /// Failed logins are limited so: reserve first, and give back what succeeded. Guesses that are made at
    /// the same time do not slip through together.
    ///
    /// ```
    /// use buttress_http::{ClientIp, Head};
    /// use buttress_rate_limit::{Policy, RateLimitLayer};
    ///
    /// let failed_logins = Policy::new("failed-logins", "5/15min").key(ClientIp::peer());
    /// let layer = RateLimitLayer::http(failed_logins)
    ///     .settle_by_response("failed-logins", |response| response.status.is_success().then_some(0))
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<(), buttress_rate_limit::ConfigError>(())
    /// ```
    pub fn settle_by_response(
        mut self,
        policy: &str,
        rule: impl Fn(&http::response::Parts) -> Option<u64> + Send + Sync + 'static,
    ) -> Self {
        self.draft.settlements.push(by_head(policy, rule));
        self
    }

    /// Gives back what a request was charged, to all policies, where a layer of ours further in refused it (the
    /// response carries a [`LocalRefusal`](buttress_http::LocalRefusal)): it was never sent.
    ///
    /// For the pace of a client. An open circuit inside it answers at once, and without this each such answer
    /// uses up a turn that a call could have had when the circuit closes. It goes before all other settlements of
    /// the layer. On a server think twice: a limit that is to hold off whoever asks too often has to
    /// charge for what the limits inside it refuse.
    ///
    /// Costs two allocations a request, as every settlement does.
    ///
    /// ```
    /// use std::{convert::Infallible, time::Duration};
    ///
    /// use buttress_http::{LocalRefusal, keys::Authority};
    /// use buttress_rate_limit::{Pacing, Policy, RateLimitLayer};
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pace = Policy::new("pace", "1/min").key(Authority).algorithm(Pacing::up_to(Duration::from_secs(5)));
    /// let client = ServiceBuilder::new()
    ///     .layer(RateLimitLayer::http(pace).refund_local_refusals().build()?)
    ///     // .layer(circuit_breaker)
    ///     .service(service_fn(|_: Request<String>| async {
    ///         let mut refusal = Response::new(String::new()); // as an open circuit answers
    ///         *refusal.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    ///         LocalRefusal::new(None).mark(&mut refusal);
    ///         Ok::<_, Infallible>(refusal)
    ///     }));
    /// for _ in 0..3 {
    ///     let call = Request::get("http://api.example/").body(String::new())?;
    ///     assert_eq!(client.clone().oneshot(call).await?.status(), 503); // and not 429
    /// }
    /// # Ok(()) }
    /// ```
    pub fn refund_local_refusals(mut self) -> Self {
        self.draft.refunds_local_refusals = true;
        self
    }

    /// Settles the `policy` of this name at the end of the response's body, by a [`Meter`] that sees its
    /// frames: also when the client leaves before, or the body breaks off, by what was seen until then.
    ///
    /// `meter` makes one for each response, by its head; `None` leaves the charge as it is. What a handler has settled, or
    /// a [rule that reads the head](Self::settle_by_response), is settled.
    ///
    /// ```
    /// use buttress_http::{ClientIp, Head};
    /// use buttress_rate_limit::{CountBytes, Policy, RateLimitLayer};
    ///
    /// // Ten megabytes a minute. A request is admitted while a kilobyte is left, and then charged for what
    /// // it really sent.
    /// let bytes = Policy::new("bytes", "10_000_000/min").key(ClientIp::peer()).cost(|_| 1_000);
    /// let layer = RateLimitLayer::http(bytes)
    ///     .settle_by_body("bytes", |_| Some(CountBytes::default()))
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<(), buttress_rate_limit::ConfigError>(())
    /// ```
    pub fn settle_by_body<M: Meter>(
        mut self,
        policy: &str,
        meter: impl Fn(&http::response::Parts) -> Option<M> + Send + Sync + 'static,
    ) -> Self {
        self.draft.settlements.push(by_body(policy, meter));
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// Where a quota cannot be expressed, a policy's name cannot stand in a header field or is not
    /// unique, a settlement names no policy, there is room for no key, there are more than eight policies, or
    /// one in [shadow mode](crate::Policy::shadow) would have somebody wait.
    pub fn build(self) -> Result<RateLimitLayer<Head, AsResponse>, ConfigError> {
        let (limits, draft) = self.limits()?;
        let refuse = AsResponse::build(draft, limits.all())?;
        Ok(RateLimitLayer {
            limits: Arc::new(limits),
            refuse,
        })
    }
}
