use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::{desk::Desk, http1, http2, script::Script, visit::Visit};

/// A server that is cross. It stops when it is dropped.
#[derive(Debug)]
pub struct RudeServer {
    addr: SocketAddr,
    desk: Arc<Desk>,
    lines: Arc<Lines>,
    running: AbortHandle,
}

/// The connections that there are: each has a receiver.
#[derive(Debug, Default)]
struct Lines(Mutex<watch::Sender<()>>);

impl Lines {
    fn pick_up(&self) -> watch::Receiver<()> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.subscribe()
    }

    /// Those that come are others.
    fn take(&self) -> watch::Sender<()> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RudeServer {
    /// Listens for HTTP/1.1 and for HTTP/2 with prior knowledge, on the same port; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// Where it cannot listen there.
    pub async fn start(addr: SocketAddr, script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (desk, lines) = (Arc::new(Desk::new(script)), Arc::default());
        let accepting = accept(listener, Arc::clone(&desk), Arc::clone(&lines));
        Ok(Self {
            addr,
            desk,
            lines,
            running: tokio::spawn(accepting).abort_handle(),
        })
    }

    /// Closes all connections without a word, as a server does that is restarted, or that has had enough of idle ones. A
    /// client with a pool hears of it when it looks at its connections next, which may be when it has chosen one.
    pub async fn hang_up(&self) {
        let lines = self.lines.take();
        // Who is gone already needs no word.
        let _ = lines.send(());
        lines.closed().await;
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URI of a manner: `server.uri("/openai?refuse=2&wait=300ms")`.
    #[must_use]
    pub fn uri(&self, manner: &str) -> String {
        format!("http://{}{manner}", self.addr)
    }

    /// The visits, in order, of those whose manner has this `id`; without one, the manner's text is it.
    #[must_use]
    pub fn visits(&self, id: &str) -> Vec<Visit> {
        self.desk.visits(id)
    }
}

impl Drop for RudeServer {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// More connections wait in the listener's backlog.
const CONNECTIONS: usize = 1_000;

async fn accept(listener: TcpListener, desk: Arc<Desk>, lines: Arc<Lines>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(serve(socket, Arc::clone(&desk), lines.pick_up()));
                }
                // Too many open files, or somebody who left before we came: both pass.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Until the client leaves, or we hang up. The line is let go of after the socket was closed, and not after whatever this
/// task does next.
async fn serve(socket: TcpStream, desk: Arc<Desk>, mut line: watch::Receiver<()>) {
    tokio::select! {
        () = talk(socket, desk) => {}
        _ = line.changed() => {}
    }
}

/// What goes wrong on a connection is the client's to notice.
async fn talk(socket: TcpStream, desk: Arc<Desk>) {
    let _ = socket.set_nodelay(true);
    match begins_http2(&socket).await {
        Ok(true) => http2::serve(socket, desk).await,
        Ok(false) => http1::serve(socket, desk).await,
        Err(_) => {}
    }
}

/// Looks at the first bytes, and leaves them there.
async fn begins_http2(socket: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    let mut bytes = [0; PREFACE.len()];
    loop {
        let seen = socket.peek(&mut bytes).await?;
        let bytes = bytes.get(..seen).unwrap_or_default();
        if seen == 0 || seen == PREFACE.len() || !PREFACE.starts_with(bytes) {
            return Ok(bytes == PREFACE);
        }
        // The rest is on its way; what was peeked at makes the socket readable all the same.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
