use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::DuplexStream;

use super::*;

fn request() -> Request<Empty<Bytes>> {
    let request = Request::get("http://example.com/").body(Empty::new());
    request.unwrap()
}

/// What a client hears of a server of HTTP/2 that does this to its first stream.
async fn over_http2<F>(
    server: impl FnOnce(h2::server::Connection<DuplexStream, Bytes>) -> F,
) -> hyper::Error
where
    F: Future<Output = ()> + Send + 'static,
{
    let (near, far) = tokio::io::duplex(64 * 1_024);
    let serving = async { h2::server::handshake(far).await.unwrap() };
    let io = TokioIo::new(near);
    let connecting = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (far, near) = tokio::join!(serving, connecting);
    let (mut client, connection) = near.unwrap();
    tokio::spawn(connection);
    tokio::spawn(server(far));
    client.send_request(request()).await.unwrap_err()
}

#[tokio::test]
async fn a_refused_stream_was_not_processed() {
    let error = over_http2(|mut server| async move {
        let (_, mut respond) = server.accept().await.unwrap().unwrap();
        respond.send_reset(Reason::REFUSED_STREAM);
        while server.accept().await.is_some() {}
    });
    let error = error.await;
    assert_eq!(HyperErrors.classify_error(&error), Judgment::UNPROCESSED);
    let boxed: Box<dyn Error + Send + Sync> = Box::new(error);
    assert_eq!(
        BoxedHyperErrors.classify_error(&boxed),
        Judgment::UNPROCESSED
    );
}

#[tokio::test]
async fn a_stream_that_was_reset_otherwise_may_have_been() {
    let error = over_http2(|mut server| async move {
        let (_, mut respond) = server.accept().await.unwrap().unwrap();
        respond.send_reset(Reason::INTERNAL_ERROR);
        while server.accept().await.is_some() {}
    });
    assert_eq!(
        HyperErrors.classify_error(&error.await),
        Judgment::TRANSIENT
    );
}

/// A client of HTTP/2, and a server that has done no more than to greet it.
async fn greeted() -> (h2::client::SendRequest<Bytes>, DuplexStream) {
    use tokio::io::AsyncWriteExt as _;

    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let (near, mut far) = tokio::io::duplex(64 * 1_024);
    let (client, connection) = h2::client::handshake(near).await.unwrap();
    far.write_all(&SETTINGS).await.unwrap();
    tokio::spawn(connection);
    (client.ready().await.unwrap(), far)
}

/// GOAWAY names the last stream that was looked at: here none was (RFC 9113 §6.8).
#[tokio::test]
async fn who_went_away_did_not_process_it_unless_something_broke() {
    use tokio::io::AsyncWriteExt as _;

    for (reason, judgment) in [
        (Reason::NO_ERROR, Judgment::UNPROCESSED),
        (Reason::PROTOCOL_ERROR, Judgment::TRANSIENT),
        (Reason::ENHANCE_YOUR_CALM, Judgment::TRANSIENT),
    ] {
        let (mut client, mut far) = greeted().await;
        let request = Request::get("http://example.com/").body(()).unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        far.write_all(&go_away(0, reason)).await.unwrap();
        let error = answer.await.unwrap_err();
        assert!(error.is_go_away() && error.is_remote(), "{error:?}");
        assert_eq!(HyperErrors.classify_error(&error), judgment, "{reason:?}");
    }
}

/// It may have been at work on what it looked at, however gracefully it left.
#[tokio::test]
async fn who_went_away_may_have_processed_what_it_looked_at() {
    use tokio::io::AsyncWriteExt as _;

    for last_streams in [&[1][..], &[i32::MAX as u32, 1], &[i32::MAX as u32]] {
        let (mut client, mut far) = greeted().await;
        let request = Request::get("http://example.com/").body(()).unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        for &last in last_streams {
            let frame = go_away(last, Reason::NO_ERROR);
            far.write_all(&frame).await.unwrap();
        }
        drop(far);
        let error = answer.await.unwrap_err();
        assert_eq!(
            HyperErrors.classify_error(&error),
            Judgment::TRANSIENT,
            "{last_streams:?}: {error:?}"
        );
    }
}

fn go_away(last_stream: u32, reason: Reason) -> Vec<u8> {
    let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0];
    frame.extend(last_stream.to_be_bytes());
    frame.extend(u32::from(reason).to_be_bytes());
    frame
}

/// The same word, and it is ours: the server may have done all of it.
#[tokio::test]
async fn a_stream_that_we_refused_ourselves_may_have_been_processed() {
    let (mut client, _far) = greeted().await;
    let request = Request::post("http://example.com/").body(()).unwrap();
    let (answer, mut stream) = client.send_request(request, false).unwrap();
    stream.send_reset(Reason::REFUSED_STREAM);
    let error = answer.await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM));
    assert_eq!(HyperErrors.classify_error(&error), Judgment::TRANSIENT);
}

/// "Connection closed before message completed": the server may have done all of it.
#[tokio::test]
async fn an_answer_that_did_not_come_is_no_proof() {
    use tokio::io::AsyncReadExt as _;

    let (near, mut far) = tokio::io::duplex(64 * 1_024);
    let io = TokioIo::new(near);
    let (mut client, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    tokio::spawn(async move { far.read_u8().await });
    let error = client.send_request(request()).await.unwrap_err();
    assert!(error.is_incomplete_message(), "{error:?}");
    assert_eq!(HyperErrors.classify_error(&error), Judgment::TRANSIENT);
    // The connection is gone, and the next request with it: unsent.
    let error = client.send_request(request()).await.unwrap_err();
    assert_eq!(HyperErrors.classify_error(&error), Judgment::UNPROCESSED);
}

#[tokio::test]
async fn what_could_not_be_connected_was_not_processed() {
    let connector = tower::service_fn(|_: http::Uri| {
        let nowhere = io::Error::other("no route");
        std::future::ready(Err::<TokioIo<tokio::net::TcpStream>, _>(nowhere))
    });
    let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let error = client.request(request()).await.unwrap_err();
    assert_eq!(HyperErrors.classify_error(&error), Judgment::UNPROCESSED);
}

/// A connection that ends as soon as it is there, or when something was sent on it.
#[derive(Default)]
struct Gone {
    after_all: bool,
    sent: bool,
    reader: Option<Waker>,
}

impl hyper::rt::Read for Gone {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.after_all && !self.sent {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Gone {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.after_all {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.sent = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl legacy::connect::Connection for Gone {
    fn connected(&self) -> legacy::connect::Connected {
        legacy::connect::Connected::new()
    }
}

async fn over(http2: bool, after_all: bool) -> legacy::Error {
    let gone = move |_: http::Uri| {
        std::future::ready(Ok::<_, io::Error>(Gone {
            after_all,
            ..Gone::default()
        }))
    };
    let client = legacy::Client::builder(TokioExecutor::new())
        .http2_only(http2)
        .build(tower::service_fn(gone));
    let error = client.request(request()).await.unwrap_err();
    assert!(!error.is_connect(), "{error:?}");
    error
}

/// As of a balancer whose servers are leaving: it accepts, and hangs up before there is anything to read.
#[tokio::test]
async fn what_broke_before_it_could_be_sent_on_was_not_processed() {
    for http2 in [false, true] {
        let error = over(http2, false).await;
        assert_eq!(
            HyperErrors.classify_error(&error),
            Judgment::UNPROCESSED,
            "{error:?}"
        );
    }
}

/// The same error, and the server may have done all of it.
#[tokio::test]
async fn what_broke_once_something_was_sent_may_have_been() {
    let error = over(false, true).await;
    assert_eq!(
        HyperErrors.classify_error(&error),
        Judgment::TRANSIENT,
        "{error:?}"
    );
}

#[tokio::test]
async fn a_body_of_ones_own_that_fails_fails_again() {
    let (near, _far) = tokio::io::duplex(64 * 1_024);
    let io = TokioIo::new(near);
    let (mut client, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let frames = tokio_stream::iter([Err::<http_body::Frame<Bytes>, _>("cut off")]);
    let request = Request::post("/").body(StreamBody::new(frames).boxed_unsync());
    let answer: Result<Response<_>, _> = client.send_request(request.unwrap()).await;
    let error = answer.unwrap_err();
    assert_eq!(
        HyperErrors.classify_error(&error),
        Judgment::NotRetryable,
        "{error:?}"
    );
}

/// hyper-util's own kinds of mistakes, which have neither a name nor a cause.
#[tokio::test]
async fn what_no_client_can_send_is_not_sent_again() {
    let client: legacy::Client<_, Empty<Bytes>> =
        legacy::Client::builder(TokioExecutor::new()).build_http();
    let requests = [
        Request::get("/without/a/host"),
        Request::get("http://example.com/").version(http::Version::HTTP_3),
        Request::connect("example.com:1").version(http::Version::HTTP_10),
    ];
    for request in requests {
        let error = client.request(request.body(Empty::new()).unwrap());
        let error = error.await.unwrap_err();
        assert_eq!(
            HyperErrors.classify_error(&error),
            Judgment::NotRetryable,
            "{error:?}"
        );
    }
}

/// As above, where h2 says so.
#[tokio::test]
async fn a_request_that_http2_cannot_carry_is_not_sent_again() {
    let (near, _far) = tokio::io::duplex(64 * 1_024);
    let (client, connection) = h2::client::handshake(near).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let malformed = [
        Request::get("http://example.com/").header("connection", "close"),
        Request::get("/without/a/host").version(http::Version::HTTP_2),
    ];
    for request in malformed {
        let request = request.body(()).unwrap();
        let error = client.send_request(request, true).unwrap_err();
        assert_eq!(
            HyperErrors.classify_error(&error),
            Judgment::NotRetryable,
            "{error:?}"
        );
    }
}

#[test]
fn what_could_not_even_be_made_is_not_sent_again() {
    let error = Request::get("http://example.com/")
        .header("a b", "c")
        .body(())
        .unwrap_err();
    assert_eq!(HyperErrors.classify_error(&error), Judgment::NotRetryable);
}

#[test]
fn a_refused_connection_was_not_processed_whoever_says_so() {
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    assert_eq!(HyperErrors.classify_error(&refused), Judgment::UNPROCESSED);
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    assert_eq!(HyperErrors.classify_error(&reset), Judgment::TRANSIENT);
}
