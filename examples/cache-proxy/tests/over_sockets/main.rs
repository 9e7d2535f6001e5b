//! The program itself, between a client and an upstream that are written by hand.

mod caching;
mod forwarding;
mod interim;

use buttress_by_hand::{Program, Raw, RawUpstream};

pub(crate) const GET: &str = "GET /a HTTP/1.1\nHost: a\n\n";

/// The program, and the upstream that it forwards to.
pub(crate) struct Proxy {
    program: Program,
    upstream: RawUpstream,
}

impl Proxy {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let upstream = RawUpstream::bind().await;
        let url = format!("http://{}", upstream.address());
        let always = ["--listen", "127.0.0.1:0", "--upstream", &url];
        let program = Program::start(
            env!("CARGO_BIN_EXE_cache-proxy"),
            &[&always, arguments].concat(),
        );
        Self { program, upstream }
    }

    pub(crate) async fn connect(&self) -> Raw {
        Raw::connect(self.program.address()).await
    }

    /// Both ends of a request that has come to the upstream.
    pub(crate) async fn ask(&self, request: &str) -> (Raw, Raw) {
        let mut client = self.connect().await;
        client.send(request).await;
        let mut server = self.accept().await;
        server.head().await;
        (client, server)
    }

    pub(crate) async fn accept(&self) -> Raw {
        self.upstream.accept().await
    }

    pub(crate) async fn upstream_is_left_alone(&self) -> bool {
        self.upstream.is_left_alone().await
    }
}
