use std::sync::Arc;

use buttress_core::ConfigError;

use super::RateLimitLayerBuilder;
use crate::{AsError, RateLimitLayer, SettleByResult, refuse::by_result};

impl<T: ?Sized + 'static> RateLimitLayerBuilder<T, AsError> {
    /// Settles the `policy` of this name by what the service answered: `rule` reads its result, and returns what the
    /// request truly cost, or `None` to leave it as it was charged. Of several rules for one policy the first one that
    /// has a word settles it, and what the service itself has settled, by its [permit](Self::permits), is settled.
    ///
    /// It is what [`settle_by_response`](RateLimitLayerBuilder::settle_by_response) is for HTTP, and hears of errors as well.
    /// So what a layer inside refused, such as an open circuit, can be given back: it was never sent. A call that is
    /// given up before it was answered costs what it was charged. From the first rule on the layer
    /// is one for services that answer so, a `RateLimitLayer<T, SettleByResult<Rsp, E>>`.
    ///
    /// Costs two allocations a request, as every settlement does.
    ///
    /// ```
    /// use buttress_core::key_from;
    /// use buttress_rate_limit::{Policy, RateLimitLayer};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// struct Query {
    ///     tenant: &'static str,
    /// }
    ///
    /// struct Rows(Vec<String>);
    ///
    /// #[derive(Debug)]
    /// enum Failed {
    ///     NotConnected,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // A thousand rows a minute. A query is admitted while a hundred are left, and then charged for what it found.
    /// let rows = Policy::new("rows", "1000/min")
    ///     .key(key_from(|query: &Query| Some(query.tenant)))
    ///     .cost(|_| 100);
    /// let layer = RateLimitLayer::typed(rows)
    ///     .settle_by_result("rows", |result: Result<&Rows, &Failed>| match result {
    ///         Ok(Rows(found)) => Some(found.len() as u64),
    ///         Err(Failed::NotConnected) => Some(0), // nobody was asked
    ///     })
    ///     .build()?;
    /// let service = ServiceBuilder::new()
    ///     .layer(layer)
    ///     .service_fn(|_: Query| async { Ok(Rows(vec!["one".to_owned(), "two".to_owned()])) });
    /// for _ in 0..100 {
    ///     assert!(service.clone().oneshot(Query { tenant: "acme" }).await.is_ok());
    /// }
    /// # Ok(()) }
    /// ```
    pub fn settle_by_result<Rsp, E>(
        self,
        policy: &str,
        rule: impl Fn(Result<&Rsp, &E>) -> Option<u64> + Send + Sync + 'static,
    ) -> RateLimitLayerBuilder<T, SettleByResult<Rsp, E>> {
        self.with_draft(vec![by_result(policy, rule)])
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// Where a quota cannot be expressed, a policy's name is not unique, there is room for no key, there are
    /// more than eight policies, or one in [shadow mode](crate::Policy::shadow) would have somebody wait.
    pub fn build(self) -> Result<RateLimitLayer<T, AsError>, ConfigError> {
        let (limits, ()) = self.limits()?;
        Ok(RateLimitLayer {
            limits: Arc::new(limits),
            refuse: AsError,
        })
    }
}

impl<T: ?Sized + 'static, Rsp, E> RateLimitLayerBuilder<T, SettleByResult<Rsp, E>> {
    /// Settles one more policy, or the same one by one more rule: as
    /// [the first](RateLimitLayerBuilder::settle_by_result).
    pub fn settle_by_result(
        mut self,
        policy: &str,
        rule: impl Fn(Result<&Rsp, &E>) -> Option<u64> + Send + Sync + 'static,
    ) -> Self {
        self.draft.push(by_result(policy, rule));
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// As without a rule, and where a rule names no policy that is enforced.
    pub fn build(self) -> Result<RateLimitLayer<T, SettleByResult<Rsp, E>>, ConfigError> {
        let (limits, settlements) = self.limits()?;
        let refuse = SettleByResult::build(settlements, limits.all())?;
        Ok(RateLimitLayer {
            limits: Arc::new(limits),
            refuse,
        })
    }
}
