use std::{future::Future, net::SocketAddr, time::Duration};

use tokio::{net::TcpListener, time::timeout};

use crate::{Raw, within};

/// An upstream that does what the test says.
#[derive(Debug)]
pub struct RawUpstream(TcpListener);

impl RawUpstream {
    /// Listens on a port of its own.
    pub async fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Whether there is no connection to accept.
    pub async fn is_left_alone(&self) -> bool {
        timeout(Duration::ZERO, self.0.accept()).await.is_err()
    }

    /// Its end of the next connection.
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = Raw> {
        within(async { Raw::on(self.0.accept().await.unwrap().0) })
    }
}
