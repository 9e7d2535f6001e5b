use std::error::Error;

use buttress_cache::CacheBody;
use http::{HeaderValue, Response, StatusCode, header::CACHE_CONTROL};
use hyper::body::Incoming;

/// What a client gets when the upstream gave no answer, and nothing stored may stand in for one.
///
/// It is made outside of the cache, which must see the failure itself: only so can it serve something stale.
pub(crate) fn answer(error: &(dyn Error + 'static)) -> Response<CacheBody<Incoming>> {
    let mut causes = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        causes = format!("{causes}: {error}");
        source = error.source();
    }
    tracing::warn!("no answer of the upstream: {causes}");
    let mut response = Response::new(CacheBody::default());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}
