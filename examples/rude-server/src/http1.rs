//! HTTP/1.1, by hyper.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header::CONTENT_LENGTH};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, time::Sleep};

use crate::{
    answer::{Answer, Part, Response},
    desk::Desk,
};

pub(crate) async fn serve(socket: TcpStream, desk: Arc<Desk>) {
    let service = service_fn(|request| answer(request, &desk));
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

/// A request's body is held in memory, up to here.
pub(crate) const BODY: usize = 1 << 20;

async fn answer(request: Request<Incoming>, desk: &Desk) -> Result<http::Response<Parts>, Cut> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY).collect().await else {
        return Ok(respond(Response::new(StatusCode::PAYLOAD_TOO_LARGE, "")).await);
    };
    match desk.answer(head, body.to_bytes()) {
        Answer::Response(response) => Ok(respond(*response).await),
        // hyper closes the connection of a service that fails.
        Answer::Cut => Err(Cut),
        Answer::RefusedStream | Answer::Reset | Answer::GoAway => {
            let text = "this can be said in HTTP/2 only\n";
            Ok(respond(Response::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, text)).await)
        }
    }
}

async fn respond(response: Response) -> http::Response<Parts> {
    tokio::time::sleep(response.pause).await;
    let length = HeaderValue::from(response.length());
    let mut answer = http::Response::new(Parts {
        parts: response.body.into_iter(),
        pause: None,
        is_flushed: false,
    });
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    answer.headers_mut().insert(CONTENT_LENGTH, length);
    answer
}

/// A body that may pause, or break off.
struct Parts {
    parts: std::vec::IntoIter<Part>,
    pause: Option<Pin<Box<Sleep>>>,
    is_flushed: bool,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match self.parts.as_slice().first() {
                Some(Part::Cut) if !self.is_flushed => {
                    // hyper writes what it has when there is nothing more for now, and only then.
                    self.is_flushed = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                _ => {}
            }
            match self.parts.next() {
                Some(Part::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Part::Pause(span)) => self.pause = Some(Box::pin(tokio::time::sleep(span))),
                Some(Part::Cut) => return Poll::Ready(Some(Err(Cut))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// Here it ends.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut off, as was asked for")
    }
}

impl std::error::Error for Cut {}
