//! The upstream that is there when no other is configured: a real server on a socket of its own.

use std::{io, net::Ipv4Addr, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::{any, get},
};
use bytes::Bytes;
use http::uri::Authority;
use http_body_util::{Channel, channel::Sender};
use tokio::{net::TcpListener, time};
use tokio_util::task::AbortOnDropHandle;

use crate::config::UpstreamUrl;

const TICKS: u32 = 10;

/// A running built-in upstream; dropping it stops it.
#[derive(Debug)]
pub(crate) struct DemoUpstream {
    url: UpstreamUrl,
    _server: AbortOnDropHandle<()>,
}

impl DemoUpstream {
    /// Starts it on a free port of the loopback.
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let authority = listener.local_addr()?.to_string();
        let url = Authority::try_from(authority)
            .map_err(io::Error::other)?
            .into();
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes()).await {
                tracing::error!("the built-in upstream ended: {error}");
            }
        });
        Ok(Self {
            url,
            _server: AbortOnDropHandle::new(server),
        })
    }

    pub(crate) const fn url(&self) -> &UpstreamUrl {
        &self.url
    }
}

fn routes() -> Router {
    Router::new()
        .route(
            "/",
            get("Hello from the built-in upstream. Try /echo, /headers, /stream, /health.\n"),
        )
        .route("/health", get("ok\n"))
        .route("/headers", any(headers))
        .route("/echo", any(|body: Body| async { body }))
        .route("/stream", get(stream))
}

/// The fields as they arrived, one a line.
async fn headers(headers: HeaderMap) -> String {
    headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
        .collect()
}

/// Server-sent events, one a second.
async fn stream() -> impl IntoResponse {
    let (sender, body) = Channel::<Bytes>::new(1);
    tokio::spawn(tick(sender));
    ([(CONTENT_TYPE, "text/event-stream")], Body::new(body))
}

async fn tick(mut client: Sender<Bytes>) {
    for n in 1..=TICKS {
        let event = Bytes::from(format!("data: {n} of {TICKS}\n\n"));
        if client.send_data(event).await.is_err() {
            // The reader has left.
            return;
        }
        if n < TICKS {
            time::sleep(Duration::from_secs(1)).await;
        }
    }
}
