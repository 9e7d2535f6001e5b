//! HTTP by hand.

use std::{future::Future, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// What must happen, or the test fails.
#[track_caller]
pub(crate) fn within<T>(what: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        timeout(DEADLINE, what)
            .await
            .unwrap_or_else(|_| panic!("nothing happened, waiting at {caller}"))
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Raw(BufStream<TcpStream>);

impl Raw {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> impl Future<Output = Self> {
        within(async move { Self::on(TcpStream::connect(address).await.unwrap()) })
    }

    pub(crate) fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self(BufStream::new(stream))
    }

    /// Sends lines that end in `\n` as lines that end in `\r\n`.
    pub(crate) async fn send(&mut self, lines: &str) {
        let lines = lines.replace('\n', "\r\n");
        self.0.write_all(lines.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Sends without an end, until the other one is gone.
    #[track_caller]
    pub(crate) fn pour(&mut self) -> impl Future<Output = ()> {
        within(async { while self.0.write_all(&[b'x'; 16_384]).await.is_ok() {} })
    }

    /// Everything up to the empty line.
    #[track_caller]
    pub(crate) fn head(&mut self) -> impl Future<Output = Head> {
        within(async {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                let read = self.0.read_line(&mut head).await.unwrap();
                assert_ne!(read, 0, "closed in the middle of a head: {head:?}");
            }
            Head(head)
        })
    }

    /// Reads what must come next.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> impl Future<Output = ()> {
        let expected = text.replace('\n', "\r\n");
        let caller = std::panic::Location::caller();
        within(async move {
            let mut came = vec![0; expected.len()];
            let read = self.0.read_exact(&mut came).await;
            let came = String::from_utf8_lossy(&came);
            assert!(
                read.is_ok() && came == expected,
                "{came:?}, expected {expected:?}, at {caller}"
            );
        })
    }

    #[track_caller]
    pub(crate) fn read(&mut self, length: usize) -> impl Future<Output = Vec<u8>> {
        within(async move {
            let mut bytes = vec![0; length];
            self.0.read_exact(&mut bytes).await.unwrap();
            bytes
        })
    }

    #[track_caller]
    pub(crate) fn expect_end(&mut self) -> impl Future<Output = ()> {
        within(async {
            let mut rest = Vec::new();
            // A reset is an end, too.
            let _ = self.0.read_to_end(&mut rest).await;
            assert_eq!(String::from_utf8_lossy(&rest), "");
        })
    }

    /// Everything up to the end of the connection.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> impl Future<Output = String> {
        within(async {
            let mut rest = String::new();
            self.0.read_to_string(&mut rest).await.unwrap();
            rest
        })
    }
}

/// A message's first line and fields.
#[derive(Debug)]
pub(crate) struct Head(String);

impl Head {
    pub(crate) fn first_line(&self) -> &str {
        self.0.lines().next().unwrap()
    }

    /// The values of a field, a line each.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.0.lines().filter_map(|line| line.split_once(": "));
        fields
            .filter(|(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> &str {
        let [value] = self.all(name)[..] else {
            panic!("not one {name} in {}", self.0);
        };
        value
    }
}

/// An upstream that does what the test says.
#[derive(Debug)]
pub(crate) struct RawUpstream(TcpListener);

impl RawUpstream {
    pub(crate) async fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Whether there is no connection to accept.
    pub(crate) async fn is_left_alone(&self) -> bool {
        timeout(Duration::ZERO, self.0.accept()).await.is_err()
    }

    #[track_caller]
    pub(crate) fn accept(&self) -> impl Future<Output = Raw> {
        within(async { Raw::on(self.0.accept().await.unwrap().0) })
    }
}
