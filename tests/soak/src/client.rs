use std::{error::Error, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, UPGRADE},
};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};
use tokio_stream::StreamExt as _;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    asked::{Asked, CHUNK},
    content,
};

/// Before a client leaves that is sending, so that what it has sent is under way to an upstream.
const PAUSE: Duration = Duration::from_millis(20);

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// One client: it asks one thing after another.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    connection: Connection,
}

#[derive(Debug)]
enum Connection {
    /// Of its own, and made anew where leaving ended it.
    Http1(Option<(http1::SendRequest<Body>, AbortOnDropHandle<()>)>),
    /// Shared with other clients.
    Http2 {
        sender: http2::SendRequest<Body>,
        _task: Arc<AbortOnDropHandle<()>>,
    },
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(Answer),
    /// It became a tunnel, and this came back through it.
    Tunnel(Bytes),
    /// The client left before there was an answer.
    Unanswered,
    /// The connection broke instead.
    NoAnswer(String),
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
    pub(crate) end: BodyEnd,
}

/// The body's beginning only, for reports.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &self.body.slice(..self.body.len().min(200)))
            .field("length", &self.body.len())
            .field("trailers", &self.trailers)
            .field("end", &self.end)
            .finish()
    }
}

/// How an answer's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    Whole,
    /// The client left.
    Left,
    /// With an error.
    Broken,
}

impl Client {
    /// Clients with connections of their own.
    pub(crate) const fn http1(address: SocketAddr) -> Self {
        Self {
            address,
            connection: Connection::Http1(None),
        }
    }

    /// So many clients on one connection.
    pub(crate) async fn http2(address: SocketAddr, clients: usize) -> io::Result<Vec<Self>> {
        let stream = TokioIo::new(connect(address).await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .map_err(io::Error::other)?;
        let task = Arc::new(AbortOnDropHandle::new(tokio::spawn(async {
            // Whoever sends over it hears of its end.
            let _ = connection.await;
        })));
        let client = || Self {
            address,
            connection: Connection::Http2 {
                sender: sender.clone(),
                _task: Arc::clone(&task),
            },
        };
        Ok(std::iter::repeat_with(client).take(clients).collect())
    }

    pub(crate) const fn is_http2(&self) -> bool {
        matches!(self.connection, Connection::Http2 { .. })
    }

    /// Asks, and reads what comes, or leaves where that is what is asked.
    ///
    /// # Errors
    ///
    /// Where no connection can be made.
    pub(crate) async fn ask(&mut self, asked: Asked, id: u64) -> io::Result<Outcome> {
        if let Asked::Tunnel(length) = asked {
            return self.tunnel(asked, id, length).await;
        }
        let request = self.request(asked, id).map_err(io::Error::other)?;
        let answer = match asked {
            Asked::LeftEarly(_, after) => {
                let after = Duration::from_millis(after);
                let Ok(answer) = time::timeout(after, self.send(request)).await else {
                    self.leave();
                    return Ok(Outcome::Unanswered);
                };
                answer?
            }
            _ => self.send(request).await?,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.leave();
                return Ok(Outcome::NoAnswer(causes(&error)));
            }
        };
        let (parts, body) = answer.into_parts();
        let most = match asked {
            Asked::LeftStream(_, chunks) if parts.status == StatusCode::OK => Some(chunks * CHUNK),
            _ => None,
        };
        let (body, trailers, end) = read(body, most).await;
        // A server that answers before it has read all of a request closes the connection behind its answer.
        let is_cut = asked.method() == Method::POST && parts.status != StatusCode::OK;
        if end != BodyEnd::Whole || is_cut {
            self.leave();
        }
        Ok(Outcome::Answer(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
            trailers,
            end,
        }))
    }

    /// Over a connection of its own, and so over no other.
    async fn tunnel(&self, asked: Asked, id: u64, length: usize) -> io::Result<Outcome> {
        let stream = TokioIo::new(connect(self.address).await?);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(async {
            let _ = connection.with_upgrades().await;
        }));
        let request = Request::get(asked.path(id))
            .header(AUTHORIZATION, format!("Bearer {}", asked.key()))
            .header(HOST, self.address.to_string())
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, "echo")
            .body(whole(Bytes::new()))
            .map_err(io::Error::other)?;
        let answer = match sender.send_request(request).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Outcome::NoAnswer(causes(&error))),
        };
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let (parts, body) = answer.into_parts();
            let (body, trailers, end) = read(body, None).await;
            return Ok(Outcome::Answer(Answer {
                status: parts.status,
                headers: parts.headers,
                body,
                trailers,
                end,
            }));
        }
        let tunnel = match hyper::upgrade::on(answer).await {
            Ok(tunnel) => TokioIo::new(tunnel),
            Err(error) => return Ok(Outcome::NoAnswer(causes(&error))),
        };
        let (mut back, mut there) = tokio::io::split(tunnel);
        let content = content::of(id, length);
        let mut came = BytesMut::with_capacity(length);
        let read = async {
            // The end of it, in whichever way, is told by how much came.
            while came.len() < length && back.read_buf(&mut came).await.is_ok_and(|read| read > 0) {
            }
        };
        let (_, ()) = tokio::join!(there.write_all(&content), read);
        Ok(Outcome::Tunnel(came.freeze()))
    }

    fn request(&self, asked: Asked, id: u64) -> http::Result<Request<Body>> {
        let path = asked.path(id);
        let request = Request::builder()
            .method(asked.method())
            .header(AUTHORIZATION, format!("Bearer {}", asked.key()));
        let request = match self.connection {
            Connection::Http1(_) => request.uri(path).header(HOST, self.address.to_string()),
            Connection::Http2 { .. } => request.uri(format!("http://{}{path}", self.address)),
        };
        match asked {
            Asked::Upload(length) => request.body(whole(content::of(id, length))),
            Asked::LeftUpload(length, sent) => request
                .header(CONTENT_LENGTH, length)
                .body(part(content::of(id, length).slice(..sent))),
            Asked::Grpc(_) => request
                .header(CONTENT_TYPE, "application/grpc")
                .header(TE, "trailers")
                .body(whole(content::message(id, 0))),
            _ => request.body(whole(Bytes::new())),
        }
    }

    async fn send(
        &mut self,
        request: Request<Body>,
    ) -> io::Result<hyper::Result<Response<Incoming>>> {
        match &mut self.connection {
            Connection::Http2 { sender, .. } => Ok(sender.send_request(request).await),
            Connection::Http1(connection) => {
                let is_open = match connection {
                    Some((sender, _)) => sender.ready().await.is_ok(),
                    None => false,
                };
                if !is_open {
                    *connection = None;
                }
                let (sender, _) = match connection {
                    Some(connection) => connection,
                    None => connection.insert(http1(self.address).await?),
                };
                Ok(sender.send_request(request).await)
            }
        }
    }

    /// Ends a connection of its own. On a shared one, what is dropped is reset.
    fn leave(&mut self) {
        if let Connection::Http1(connection) = &mut self.connection {
            *connection = None;
        }
    }
}

async fn http1(
    address: SocketAddr,
) -> io::Result<(http1::SendRequest<Body>, AbortOnDropHandle<()>)> {
    let stream = TokioIo::new(connect(address).await?);
    let (sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
    let task = tokio::spawn(async {
        let _ = connection.await;
    });
    Ok((sender, AbortOnDropHandle::new(task)))
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that ends in an error after this much of it: the client leaves, as a crash would have it.
fn part(bytes: Bytes) -> Body {
    let left = io::Error::new(io::ErrorKind::ConnectionAborted, "the client leaves");
    let parts = tokio_stream::iter([Ok(Frame::data(bytes)), Err(left)]);
    let parts = parts.then(async |part| {
        if part.is_err() {
            time::sleep(PAUSE).await;
        }
        part
    });
    StreamBody::new(parts).boxed_unsync()
}

/// Reads all, or leaves once there is as much as that.
async fn read(mut body: Incoming, most: Option<usize>) -> (Bytes, HeaderMap, BodyEnd) {
    let (mut bytes, mut trailers) = (BytesMut::new(), HeaderMap::new());
    loop {
        if most.is_some_and(|most| bytes.len() >= most) {
            return (bytes.freeze(), trailers, BodyEnd::Left);
        }
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    bytes.extend_from_slice(data);
                }
                if let Ok(last) = frame.into_trailers() {
                    trailers = last;
                }
            }
            Some(Err(_)) => return (bytes.freeze(), trailers, BodyEnd::Broken),
            None => return (bytes.freeze(), trailers, BodyEnd::Whole),
        }
    }
}

fn causes(error: &(dyn Error + 'static)) -> String {
    let mut causes = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        causes = format!("{causes}: {error}");
        source = error.source();
    }
    causes
}
