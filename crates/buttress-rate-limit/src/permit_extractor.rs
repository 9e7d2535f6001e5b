use std::convert::Infallible;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::{StatusCode, request::Parts};

use crate::Permit;

/// Answers 500 where the layer was built without
/// [`permits`](crate::RateLimitLayerBuilder::permits), or does not stand around the handler: a mistake in
/// the program. As `Option<Permit>` it is `None` then.
impl<S: Sync> FromRequestParts<S> for Permit {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get().cloned().ok_or((
            StatusCode::INTERNAL_SERVER_ERROR,
            "the request carries no rate limit permit",
        ))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Permit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}
