use std::{future::Future, net::SocketAddr, panic::Location};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
};

use crate::{Head, within};

/// One end of a connection.
#[derive(Debug)]
pub struct Raw(BufStream<TcpStream>);

impl Raw {
    /// The client's end of a new one.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> impl Future<Output = Self> {
        within(async move { Self::on(TcpStream::connect(address).await.unwrap()) })
    }

    /// This end of one that is there.
    #[must_use]
    pub fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self(BufStream::new(stream))
    }

    /// Sends lines that end in `\n` as lines that end in `\r\n`.
    pub async fn send(&mut self, lines: &str) {
        self.send_bytes(lines.replace('\n', "\r\n").as_bytes())
            .await;
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Sends without an end, until the other one is gone.
    #[track_caller]
    pub fn pour(&mut self) -> impl Future<Output = ()> {
        within(async { while self.0.write_all(&[b'x'; 16_384]).await.is_ok() {} })
    }

    /// Everything up to the empty line.
    #[track_caller]
    pub fn head(&mut self) -> impl Future<Output = Head> {
        within(async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let read = self.0.read_until(b'\n', &mut head).await.unwrap();
                let so_far = String::from_utf8_lossy(&head);
                assert_ne!(read, 0, "closed in the middle of a head: {so_far:?}");
            }
            Head::of(head)
        })
    }

    /// Reads what must come next; its lines end in `\n` here and in `\r\n` there.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> impl Future<Output = ()> {
        let expected = text.replace('\n', "\r\n");
        let caller = Location::caller();
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

    /// So many bytes, whatever they are.
    #[track_caller]
    pub fn read(&mut self, length: usize) -> impl Future<Output = Vec<u8>> {
        within(async move {
            let mut bytes = vec![0; length];
            self.0.read_exact(&mut bytes).await.unwrap();
            bytes
        })
    }

    /// Waits until the connection ends, without another byte.
    #[track_caller]
    pub fn expect_end(&mut self) -> impl Future<Output = ()> {
        within(async {
            let mut rest = Vec::new();
            // A reset is an end, too.
            let _ = self.0.read_to_end(&mut rest).await;
            assert_eq!(String::from_utf8_lossy(&rest), "");
        })
    }

    /// Everything up to the end of the connection.
    #[track_caller]
    pub fn rest(&mut self) -> impl Future<Output = String> {
        within(async {
            let mut rest = String::new();
            self.0.read_to_string(&mut rest).await.unwrap();
            rest
        })
    }
}
