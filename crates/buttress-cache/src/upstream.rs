use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

/// What the inner service is, where it answers with a body of the type `B`: the bounds of the layer's
/// `Service`, under one name.
pub(crate) trait Upstream<A, B>:
    Service<Request<A>, Response = Response<B>, Error: Send + 'static, Future: Send + 'static>
    + Clone
    + Send
    + 'static
{
}

impl<S, A, B> Upstream<A, B> for S
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Send + 'static,
    S::Future: Send + 'static,
{
}

/// A body that can be stored.
pub(crate) trait Payload:
    Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static
{
}

impl<B> Payload for B
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
}
