//! Bodies that have come through layers.

use axum::body::Body;
use buttress_cache::CacheBody;
use buttress_http::ResponseBody;
use buttress_rate_limit::MeteredBody;
use buttress_retry::RetryBody;

/// What a layer makes of a body, as the gateway's own again. One that a layer has nothing to do with is the one that it was
/// given: it need not be boxed again, nor each of its frames be asked for through a further box.
pub(crate) trait IntoBody {
    fn into_body(self) -> Body;
}

impl IntoBody for Body {
    fn into_body(self) -> Body {
        self
    }
}

impl IntoBody for ResponseBody<MeteredBody<Body>> {
    fn into_body(self) -> Body {
        match self.into_inner().map(MeteredBody::into_inner) {
            Ok(Ok(body)) => body,
            Ok(Err(metered)) => Body::new(metered),
            Err(made) => Body::new(made),
        }
    }
}

impl IntoBody for CacheBody<Body> {
    fn into_body(self) -> Body {
        match self.into_inner() {
            Ok(body) => body,
            Err(other) => Body::new(other),
        }
    }
}

impl IntoBody for RetryBody<Body> {
    fn into_body(self) -> Body {
        match self.into_inner() {
            Ok(body) => body,
            Err(other) => Body::new(other),
        }
    }
}
