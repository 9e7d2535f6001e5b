//! Connections that are there in time, or not at all.

use std::{
    io,
    task::{Context, Poll},
    time::Duration,
};

use axum::BoxError;
use buttress_core::BoxFuture;
use http::Uri;
use tokio::time;
use tower_service::Service;

use super::{last_words::LastWords, tls::Connector};

/// Gives up what takes too long: the look-up of a name, TCP and TLS together.
///
/// The time to answer would end it too, but says nothing of how far the request came, and most may not be sent again then. One
/// that has no connection was not sent.
#[derive(Clone, Debug)]
pub(super) struct InTime {
    pub(super) connector: Connector,
    pub(super) bound: Duration,
    /// Whether the [last words](super::last_words) over them are heard.
    pub(super) hears: bool,
}

impl Service<Uri> for InTime {
    type Response = LastWords<<Connector as Service<Uri>>::Response>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connected = time::timeout(self.bound, self.connector.call(to));
        let hears = self.hears;
        Box::pin(async move {
            let socket = connected
                .await
                .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))?;
            Ok(match hears {
                true => LastWords::heard(socket),
                false => LastWords::unheard(socket),
            })
        })
    }
}
