//! Accepts connections and serves HTTP/1.1 and h2c on them, until the gateway closes.
//!
//! axum's own `serve` would do, but for three things that a gateway at the edge needs: clients that connect
//! and send nothing are turned out, a shutdown has a bound, and connections that outlive it are cut.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::serve::Listener;
use buttress_core::BoxFuture;
use http::Version;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use intermediary::interim::{Before, Interim, Wire};
use tokio::{
    net::{TcpListener, TcpStream},
    time,
};

use crate::{
    connections::{Held, client},
    impatient::Impatient,
    lingering::{Lingering, Unread},
    reload::InForce,
    shutdown::Shutdown,
    streams::Streams,
};

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a connection of HTTP/2 is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long a request's head may be in HTTP/1.1, in which an address alone may take half of it. Memory for it is taken before anybody knows
/// whose request it is, and hyper would take three times as much.
const LONGEST_HEAD: usize = 128 * 1024;

/// How much of an answer a stream of HTTP/2 may hold for a client that opened a window for it and does not read. A connection has two
/// hundred of them, and by hyper's usual 400 KiB each would keep 80 MB of a machine's memory.
const STREAM_BUFFER: usize = 64 * 1024;

/// Serves what is in force on whatever `listener` accepts. Returns when the gateway closes: nobody is accepted any
/// more, and what was accepted is the shutdown's to wait for.
pub(crate) async fn serve(mut listener: TcpListener, in_force: InForce, shutdown: &Shutdown) {
    let builder = builder(&in_force);
    let mut closing = pin!(shutdown.closing());
    loop {
        let accepted = async {
            let connections = in_force.connections();
            connections
                .room(|| in_force.stack().config().connections)
                .await;
            // Outlives a lack of file descriptors, since axum's `Listener` waits and tries again.
            Listener::accept(&mut listener).await
        };
        let (stream, peer) = tokio::select! {
            biased;
            () = &mut closing => return,
            accepted = accepted => accepted,
        };
        let place = {
            let stack = in_force.stack();
            let config = stack.config();
            let client = client(config, peer.ip());
            in_force
                .connections()
                .enter(client, config.connections_per_client)
        };
        let Some(place) = place else {
            continue;
        };
        shutdown.track(connection(
            builder.clone(),
            Held::of(stream, place),
            peer,
            in_force.clone(),
            shutdown.clone(),
        ));
    }
}

fn builder(in_force: &InForce) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(Streams(in_force.clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(LONGEST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .max_send_buf_size(STREAM_BUFFER);
    builder
}

async fn connection(
    builder: auto::Builder<Streams>,
    stream: Held<TcpStream>,
    peer: SocketAddr,
    in_force: InForce,
    shutdown: Shutdown,
) {
    // A stream of small pieces (SSE) must not wait for the acknowledgement of the last one.
    if let Err(error) = stream.socket().set_nodelay(true) {
        tracing::debug!(%peer, "no TCP_NODELAY: {error}");
    }
    let has_asked = Arc::new(AtomicBool::new(false));
    let interim = Interim::default();
    let unread = Unread::head();
    let wire = {
        let in_force = in_force.clone();
        let bound = move || in_force.stack().config().timeouts.client_idle.bound();
        let socket = Lingering::of(TokioIo::new(stream), unread.clone());
        Wire::of(Impatient::of(socket, bound), interim.clone())
    };
    let service = service_fn({
        let has_asked = Arc::clone(&has_asked);
        move |request: http::Request<Incoming>| {
            has_asked.store(true, Ordering::Relaxed);
            let mut request = unread.watched(request);
            let exchange = interim.begin(request.version());
            if let Some(exchange) = &exchange {
                request.extensions_mut().insert(exchange.clone());
            }
            let answer: BoxFuture<'static, _> = if request.version() == Version::HTTP_2 {
                // In the stream's own task, and not in the connection's, for which all its streams would wait.
                let in_force = in_force.clone();
                Box::pin(async move {
                    let stack = in_force.stack();
                    stack.answer(in_force.telemetry(), peer, request).await
                })
            } else {
                Box::pin(in_force.stack().answer(in_force.telemetry(), peer, request))
            };
            Before::of(exchange, answer)
        }
    });

    let mut served = pin!(builder.serve_connection_with_upgrades(wire, service));
    let mut closing = pin!(shutdown.closing());
    let mut cut_off = pin!(shutdown.cut_off());
    // Telling HTTP/1.1 from HTTP/2 reads a few bytes before hyper's own timeout begins.
    let mut first_request = pin!(time::sleep(HEAD_TIMEOUT));
    let (mut is_closing, mut is_new) = (false, true);
    loop {
        tokio::select! {
            biased;
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, "a connection broke: {error}");
                }
                return;
            }
            () = closing.as_mut(), if !is_closing => {
                is_closing = true;
                served.as_mut().graceful_shutdown();
            }
            // Nothing is cut off before it closes.
            () = cut_off.as_mut(), if is_closing => return,
            () = first_request.as_mut(), if is_new => {
                is_new = false;
                if !has_asked.load(Ordering::Relaxed) {
                    tracing::debug!(%peer, "sent no request in time");
                    return;
                }
            }
        }
    }
}
