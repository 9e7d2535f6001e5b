//! The upstream: a process, so that it can be killed.

use std::{
    io::{self, Read},
    net::SocketAddr,
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, ETAG, IF_NONE_MATCH},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http_body_util::{Channel, channel::Sender};
use tokio::{net::TcpListener, time};

use crate::{
    asked::{CHUNK, own_number, stored_length},
    content,
};

/// Between two chunks of a stream.
const PAUSE: Duration = Duration::from_millis(15);

/// Serves until whoever started it is gone.
pub(crate) async fn serve(listen: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    thread::spawn(|| {
        // Nobody writes there: it ends when its other end does, however that ends.
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    axum::serve(listener, routes()).await
}

fn routes() -> Router {
    Router::new()
        .route("/bytes/{length}/{id}", get(bytes))
        .route("/v1/bytes/{length}/{id}", get(bytes))
        .route("/bytes/{length}/{id}", post(|body: Body| async { body }))
        .route("/stream/{chunks}/{id}", get(stream))
        .route("/slow/{millis}/{id}", get(slow))
        .route("/shared/{number}", get(shared))
        .route("/own/{number}", get(own))
}

async fn bytes(Path((length, id)): Path<(usize, u64)>) -> Bytes {
    content::of(id, length)
}

async fn stream(Path((chunks, id)): Path<(usize, u64)>) -> Body {
    let (sender, body) = Channel::<Bytes>::new(1);
    tokio::spawn(send(content::of(id, chunks * CHUNK), sender));
    Body::new(body)
}

async fn send(mut content: Bytes, mut client: Sender<Bytes>) {
    while !content.is_empty() {
        if client.send_data(content.split_to(CHUNK)).await.is_err() {
            return;
        }
        time::sleep(PAUSE).await;
    }
}

async fn slow(Path((millis, _id)): Path<(u64, u64)>) -> Bytes {
    time::sleep(Duration::from_millis(millis)).await;
    Bytes::new()
}

async fn shared(Path(number): Path<u64>, headers: HeaderMap) -> Response {
    let content = content::of(number, stored_length(number));
    stored(
        "public, max-age=1",
        format!("\"{number}\""),
        &headers,
        content,
    )
}

async fn own(Path(number): Path<u64>, headers: HeaderMap) -> Response {
    let key = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let key = key
        .and_then(|key| key.strip_prefix("Bearer "))
        .unwrap_or_default();
    let own = own_number(number, key);
    let content = content::of(own, stored_length(number));
    stored(
        "private, max-age=1",
        format!("\"{own}\""),
        &headers,
        content,
    )
}

/// What may be stored for a second, and then is validated.
fn stored(for_whom: &'static str, tag: String, asked: &HeaderMap, content: Bytes) -> Response {
    let is_known = asked
        .get(IF_NONE_MATCH)
        .is_some_and(|tags| tags == tag.as_str());
    let headers = [(CACHE_CONTROL, for_whom.to_owned()), (ETAG, tag)];
    if is_known {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, content).into_response()
    }
}
