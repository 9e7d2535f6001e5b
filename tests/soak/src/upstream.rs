//! The upstream: a process, so that it can be killed.

use std::{
    error::Error,
    io::{self, Read},
    net::SocketAddr,
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, TRAILER,
            UPGRADE,
        },
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http_body_util::{Channel, channel::Sender};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, time};

use crate::{
    asked::{CHUNK, own_number, stored_length},
    content, tls,
};

/// Between two chunks of a stream.
const PAUSE: Duration = Duration::from_millis(15);

/// Serves until whoever started it is gone; over TLS with what is in `tls`, if that is given.
pub(crate) async fn serve(
    listen: SocketAddr,
    tls: Option<&std::path::Path>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let tls = tls.map(tls::acceptor).transpose()?;
    let listener = TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    thread::spawn(|| {
        // Nobody writes there: it ends when its other end does, however that ends.
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let service = TowerToHyperService::new(routes());
    loop {
        let (stream, _) = listener.accept().await?;
        let (tls, service) = (tls.clone(), service.clone());
        tokio::spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            // What goes wrong with a connection is seen at its other end.
            let _ = match tls {
                None => {
                    let stream = TokioIo::new(stream);
                    builder
                        .serve_connection_with_upgrades(stream, service)
                        .await
                }
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => {
                        let stream = TokioIo::new(stream);
                        builder
                            .serve_connection_with_upgrades(stream, service)
                            .await
                    }
                    Err(error) => Err(error.into()),
                },
            };
        });
    }
}

fn routes() -> Router {
    Router::new()
        .route("/bytes/{length}/{id}", get(bytes))
        .route("/v1/bytes/{length}/{id}", get(bytes))
        .route("/bytes/{length}/{id}", post(|body: Body| async { body }))
        .route("/stream/{chunks}/{id}", get(stream))
        .route("/cut/{chunks}/{sent}/{id}", get(cut))
        .route("/tunnel/{id}", get(tunnel))
        .route("/grpc/{length}/{id}", post(grpc))
        .route("/slow/{millis}/{id}", get(slow))
        .route("/shared/{number}", get(shared))
        .route("/own/{number}", get(own))
}

async fn bytes(Path((length, id)): Path<(usize, u64)>) -> Bytes {
    content::of(id, length)
}

async fn stream(Path((chunks, id)): Path<(usize, u64)>) -> Body {
    let (sender, body) = Channel::<Bytes>::new(1);
    tokio::spawn(async move { send(content::of(id, chunks * CHUNK), sender).await });
    Body::new(body)
}

/// Tells whoever still listens.
async fn send<E>(mut content: Bytes, mut client: Sender<Bytes, E>) -> Option<Sender<Bytes, E>> {
    while !content.is_empty() {
        client.send_data(content.split_to(CHUNK)).await.ok()?;
        time::sleep(PAUSE).await;
    }
    Some(client)
}

/// Breaks off when so many of the chunks are sent.
async fn cut(Path((_chunks, sent, id)): Path<(usize, usize, u64)>) -> Body {
    let (sender, body) = Channel::new(1);
    tokio::spawn(async move {
        if let Some(client) = send(content::of(id, sent * CHUNK), sender).await {
            client.abort(io::Error::other("cut"));
        }
    });
    Body::new(body)
}

/// Whatever comes goes back.
async fn tunnel(mut request: Request) -> Response {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(tunnel) = upgraded.await {
            let (mut from, mut to) = tokio::io::split(TokioIo::new(tunnel));
            // The other end tells how far it came.
            let _ = tokio::io::copy(&mut from, &mut to).await;
        }
    });
    let fields = [(CONNECTION, "upgrade"), (UPGRADE, "echo")];
    (StatusCode::SWITCHING_PROTOCOLS, fields).into_response()
}

async fn grpc(Path((length, id)): Path<(usize, u64)>) -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let (mut client, body) = Channel::<Bytes>::new(2);
    tokio::spawn(async move {
        // Who does not hear it has left.
        let _ = client.send_data(content::message(id, length)).await;
        let _ = client.send_trailers(trailers).await;
    });
    // In HTTP/1.1 only those go that were announced, and none behind a body whose length is told.
    let fields = [(CONTENT_TYPE, "application/grpc"), (TRAILER, "grpc-status")];
    (fields, Body::new(body)).into_response()
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
