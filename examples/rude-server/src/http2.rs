//! HTTP/2, by h2: hyper neither refuses a stream nor leaves in mid-air.

use std::{
    future::{pending, poll_fn},
    sync::Arc,
    task::Poll,
};

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{Request, StatusCode};
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    answer::{Answer, Part, Response},
    desk::Desk,
    http1::BODY,
    raw_socket::RawSocket,
};

/// What is to become of the connection.
enum Connection {
    Keep,

    /// Once what was said on the stream is written; let go of before that, it would be reset instead.
    Cut(Option<SendStream<Bytes>>),
}

pub(crate) async fn serve(socket: TcpStream, desk: Arc<Desk>) {
    let socket = RawSocket::new(socket);
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(200);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket.clone()).await else {
        return;
    };
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    streams.spawn(answer(request, respond, Arc::clone(&desk), socket.clone()));
                }
                Some(Err(_)) | None => return,
            },
            Some(done) = streams.join_next() => if let Ok(Ok(Connection::Cut(_stream))) = done {
                // What was said before is written; what comes is not read.
                poll_fn(|cx| {
                    let _ = connection.poll_accept(cx);
                    Poll::Ready(())
                })
                .await;
                return;
            },
        }
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    desk: Arc<Desk>,
    socket: RawSocket,
) -> Result<Connection, h2::Error> {
    let (head, body) = request.into_parts();
    let Some(body) = collect(body).await? else {
        return send(Response::new(StatusCode::PAYLOAD_TOO_LARGE, ""), respond).await;
    };
    match desk.answer(head, body) {
        Answer::Response(response) => send(*response, respond).await,
        Answer::Cut => Ok(Connection::Cut(None)),
        Answer::RefusedStream => {
            respond.send_reset(Reason::REFUSED_STREAM);
            Ok(Connection::Keep)
        }
        Answer::Reset => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            Ok(Connection::Keep)
        }
        Answer::GoAway => {
            // Stream ids of clients are odd: this is the one before.
            socket.go_away(respond.stream_id().as_u32().saturating_sub(2));
            // Let go of, the stream would be reset: nothing more is said of it until the client leaves.
            pending().await
        }
    }
}

/// The body, unless it is too long.
async fn collect(mut body: RecvStream) -> Result<Option<Bytes>, h2::Error> {
    let mut collected = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        if collected.len() + data.len() > BODY {
            return Ok(None);
        }
        collected.extend_from_slice(&data);
    }
    Ok(Some(collected.freeze()))
}

async fn send(
    response: Response,
    mut respond: SendResponse<Bytes>,
) -> Result<Connection, h2::Error> {
    tokio::time::sleep(response.pause).await;
    let mut head = http::Response::new(());
    *head.status_mut() = response.status;
    *head.headers_mut() = response.headers;

    // Trailers-Only, and all else that has nothing behind its headers.
    let is_over = response.body.is_empty() && response.trailers.is_none();
    let mut stream = respond.send_response(head, is_over)?;
    if is_over {
        return Ok(Connection::Keep);
    }
    for part in response.body {
        match part {
            // At most as much as was sent to us.
            Part::Data(data) => stream.send_data(data, false)?,
            Part::Pause(span) => tokio::time::sleep(span).await,
            Part::Cut => return Ok(Connection::Cut(Some(stream))),
        }
    }
    match response.trailers {
        Some(trailers) => stream.send_trailers(trailers)?,
        None => stream.send_data(Bytes::new(), true)?,
    }
    Ok(Connection::Keep)
}
