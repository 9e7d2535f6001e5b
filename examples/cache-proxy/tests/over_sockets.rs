//! The program itself, between a client and an upstream that are written by hand.

use std::{future::Future, net::SocketAddr, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufStream},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::timeout,
};

const DEADLINE: Duration = Duration::from_secs(20);

const GET: &str = "GET /a HTTP/1.1\nHost: a\n\n";

/// What must happen, or the test fails.
#[track_caller]
fn within<T>(what: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        timeout(DEADLINE, what)
            .await
            .unwrap_or_else(|_| panic!("nothing happened, waiting at {caller}"))
    }
}

/// One end of a connection.
struct Raw(BufStream<TcpStream>);

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        Self::on(within(TcpStream::connect(address)).await.unwrap())
    }

    fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self(BufStream::new(stream))
    }

    /// Sends lines that end in `\n` as lines that end in `\r\n`.
    async fn send(&mut self, lines: &str) {
        self.send_bytes(lines.replace('\n', "\r\n").as_bytes())
            .await;
    }

    async fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Everything up to the empty line, one character for each byte.
    #[track_caller]
    fn head(&mut self) -> impl Future<Output = Head> {
        within(async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let read = self.0.read_until(b'\n', &mut head).await.unwrap();
                assert_ne!(read, 0, "closed in the middle of a head: {head:?}");
            }
            Head(head.into_iter().map(char::from).collect())
        })
    }

    #[track_caller]
    fn expect(&mut self, text: &str) -> impl Future<Output = ()> {
        let expected = text.replace('\n', "\r\n");
        within(async move {
            let mut came = vec![0; expected.len()];
            self.0.read_exact(&mut came).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&came), expected);
        })
    }

    /// Whether the connection was closed without another byte.
    async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        within(self.0.read_to_end(&mut rest)).await.is_err() || rest.is_empty()
    }
}

struct Head(String);

impl Head {
    fn first_line(&self) -> &str {
        self.0.lines().next().unwrap()
    }

    fn one(&self, name: &str) -> Option<&str> {
        let mut values = self
            .0
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value);
        let value = values.next();
        assert_eq!(values.next(), None, "{name} twice in {}", self.0);
        value
    }
}

/// The program, and the upstream that it forwards to.
struct Proxy {
    _child: Child,
    address: SocketAddr,
    upstream: TcpListener,
}

impl Proxy {
    async fn start(arguments: &[&str]) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", upstream.local_addr().unwrap());
        let mut child = Command::new(env!("CARGO_BIN_EXE_cache-proxy"))
            .args(["--listen", "127.0.0.1:0", "--upstream", &url])
            .args(arguments)
            .kill_on_drop(true)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = within(lines.next_line()).await.unwrap().unwrap();
        let address = line.strip_prefix("listening on http://").unwrap().parse();
        Self {
            _child: child,
            address: address.unwrap(),
            upstream,
        }
    }

    async fn connect(&self) -> Raw {
        Raw::connect(self.address).await
    }

    /// Both ends of a request that has come to the upstream.
    async fn ask(&self, request: &str) -> (Raw, Raw) {
        let mut client = self.connect().await;
        client.send(request).await;
        let mut server = self.accept().await;
        server.head().await;
        (client, server)
    }

    async fn accept(&self) -> Raw {
        Raw::on(within(self.upstream.accept()).await.unwrap().0)
    }

    async fn upstream_is_left_alone(&self) -> bool {
        timeout(Duration::ZERO, self.upstream.accept())
            .await
            .is_err()
    }
}

#[tokio::test]
async fn the_second_request_is_answered_from_memory() {
    let proxy = Proxy::start(&[]).await;
    let mut client = proxy.connect().await;
    client
        .send("GET /a?b=%2F HTTP/1.1\nHost: asked.example\n\n")
        .await;
    let mut server = proxy.accept().await;
    let request = server.head().await;
    assert_eq!(request.first_line(), "GET /a?b=%2F HTTP/1.1");
    assert_eq!(request.one("host"), Some("asked.example"));
    assert_eq!(request.one("via"), Some("1.1 cache-proxy"));
    server
        .send("HTTP/1.1 200 OK\nCache-Control: max-age=600\nContent-Length: 4\n\nbody")
        .await;
    let first = client.head().await;
    assert_eq!(
        first.one("cache-status"),
        Some("cache-proxy;fwd=uri-miss;fwd-status=200;stored")
    );
    client.expect("body").await;

    client
        .send("GET /a?b=%2F HTTP/1.1\nHost: asked.example\n\n")
        .await;
    let second = client.head().await;
    assert!(
        second
            .one("cache-status")
            .unwrap()
            .starts_with("cache-proxy;hit")
    );
    assert!(second.one("age").is_some());
    client.expect("body").await;
    assert!(proxy.upstream_is_left_alone().await);
}

/// The answer is stored under the host of the target: whoever leaves `Host` out must not be answered for another.
#[tokio::test]
async fn a_target_in_absolute_form_names_the_host() {
    for host in ["", "Host: other.example\n"] {
        let proxy = Proxy::start(&[]).await;
        let mut client = proxy.connect().await;
        client
            .send(&format!("GET http://asked.example:81/a HTTP/1.1\n{host}\n"))
            .await;
        let request = proxy.accept().await.head().await;
        assert_eq!(request.first_line(), "GET /a HTTP/1.1");
        assert_eq!(request.one("host"), Some("asked.example:81"), "{host:?}");
    }
}

#[tokio::test]
async fn odd_methods_statuses_and_bytes_pass_and_fields_for_one_hop_do_not() {
    let proxy = Proxy::start(&[]).await;
    let mut client = proxy.connect().await;
    client
        .send_bytes(
            b"FROBNICATE /a HTTP/1.1\r\nHost: a\r\nX-Odd: caf\xe9\r\nConnection: x-mine\r\nX-Mine: 1\r\n\
              Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
        )
        .await;
    let mut server = proxy.accept().await;
    let request = server.head().await;
    assert_eq!(request.first_line(), "FROBNICATE /a HTTP/1.1");
    assert_eq!(
        (request.one("x-odd"), request.one("x-mine")),
        (Some("caf\u{e9}"), None)
    );
    server.expect("3\none\n0\n\n").await;
    server
        .send_bytes(
            b"HTTP/1.1 599 Odd\r\nX-Odd: \xff\r\nKeep-Alive: timeout=9\r\nContent-Length: 2\r\n\r\nno",
        )
        .await;
    let answer = client.head().await;
    assert!(answer.first_line().starts_with("HTTP/1.1 599"));
    assert_eq!(
        (answer.one("x-odd"), answer.one("keep-alive")),
        (Some("\u{ff}"), None)
    );
    client.expect("no").await;
}

#[tokio::test]
async fn a_broken_upstream_is_a_bad_gateway_and_is_asked_once() {
    let proxy = Proxy::start(&[]).await;
    let (mut client, server) = proxy.ask(GET).await;
    drop(server);
    let answer = client.head().await;
    assert_eq!(answer.first_line(), "HTTP/1.1 502 Bad Gateway");
    assert!(proxy.upstream_is_left_alone().await);
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_and_is_not_stored() {
    let proxy = Proxy::start(&[]).await;
    let (mut client, mut server) = proxy.ask(GET).await;
    server
        .send("HTTP/1.1 200 OK\nCache-Control: max-age=600\nContent-Length: 8\n\nhalf")
        .await;
    client.head().await;
    // Before it is known how it ends.
    client.expect("half").await;
    drop(server);
    assert!(client.is_closed().await);

    let mut client = proxy.connect().await;
    client.send(GET).await;
    proxy.accept().await.head().await;
}

#[tokio::test]
async fn without_a_lifetime_everything_goes_to_the_upstream() {
    let proxy = Proxy::start(&[]).await;
    let mut client = proxy.connect().await;
    let mut server = None;
    for _ in 0..2 {
        client.send(GET).await;
        let server = match &mut server {
            Some(server) => server,
            none => none.insert(proxy.accept().await),
        };
        server.head().await;
        server
            .send("HTTP/1.1 200 OK\nContent-Length: 4\n\nbody")
            .await;
        client.head().await;
        client.expect("body").await;
    }
}

#[tokio::test]
async fn a_private_cache_keeps_what_is_private() {
    for (arguments, stored) in [(&["--private"][..], true), (&[], false)] {
        let proxy = Proxy::start(arguments).await;
        let (mut client, mut server) = proxy.ask(GET).await;
        server
            .send("HTTP/1.1 200 OK\nCache-Control: private, max-age=600\nContent-Length: 4\n\nbody")
            .await;
        client.head().await;
        client.expect("body").await;
        client.send(GET).await;
        if stored {
            assert!(client.head().await.one("age").is_some());
        } else {
            // Over the same connection, which is still good.
            assert_eq!(server.head().await.first_line(), "GET /a HTTP/1.1");
        }
    }
}

#[tokio::test]
async fn a_stream_of_events_is_not_held_back() {
    let proxy = Proxy::start(&[]).await;
    let (mut client, mut server) = proxy.ask("GET /events HTTP/1.1\nHost: a\n\n").await;
    server
        .send("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n")
        .await;
    client.head().await;
    for _ in 0..3 {
        server.send("7\ndata: 1\n").await;
        client.expect("7\ndata: 1\n").await;
    }
}

#[tokio::test]
async fn interim_responses_go_before_the_answer_and_are_not_stored() {
    let proxy = Proxy::start(&[]).await;
    let (mut client, mut server) = proxy
        .ask("GET /a HTTP/1.1\nHost: a\n\nGET /a HTTP/1.1\nHost: a\n\n")
        .await;
    server.send("HTTP/1.1 102 Processing\n\n").await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 102 Processing");
    // At once with what follows it.
    server
        .send(
            "HTTP/1.1 103 Early Hints\nLink: </a.css>; rel=preload\nX-One: 1\nConnection: x-hop\nX-Hop: 1\n\n\
             HTTP/1.1 199\n\n\
             HTTP/1.1 200 OK\nCache-Control: max-age=600\nContent-Length: 4\n\nbody",
        )
        .await;
    let hints = client.head().await;
    assert_eq!(hints.first_line(), "HTTP/1.1 103 Early Hints");
    assert_eq!(hints.one("link"), Some("</a.css>; rel=preload"));
    assert_eq!((hints.one("connection"), hints.one("x-hop")), (None, None));
    assert!(client.head().await.first_line().starts_with("HTTP/1.1 199"));
    let answer = client.head().await;
    assert_eq!(answer.first_line(), "HTTP/1.1 200 OK");
    assert_eq!((answer.one("link"), answer.one("x-one")), (None, None));
    client.expect("body").await;

    let stored = client.head().await;
    assert_eq!(stored.first_line(), "HTTP/1.1 200 OK");
    assert!(stored.one("age").is_some());
    assert_eq!((stored.one("link"), stored.one("x-one")), (None, None));
    client.expect("body").await;
}

#[tokio::test]
async fn http_1_0_is_sent_no_interim_response() {
    let proxy = Proxy::start(&[]).await;
    let (mut client, mut server) = proxy.ask("GET /a HTTP/1.0\nHost: a\n\n").await;
    server
        .send("HTTP/1.1 103 Early Hints\nLink: </a.css>\n\nHTTP/1.1 200 OK\nContent-Length: 4\n\nbody")
        .await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.0 200 OK");
    client.expect("body").await;
}

/// The one who asks for the body is this proxy's server.
#[tokio::test]
async fn a_body_that_waits_to_be_asked_for_is_asked_for_once() {
    let proxy = Proxy::start(&[]).await;
    let (mut client, mut server) = proxy
        .ask("PUT /a HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 4\n\n")
        .await;
    server.send("HTTP/1.1 100 Continue\n\n").await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 100 Continue");
    client.send("body").await;
    server.expect("body").await;
    server.send("HTTP/1.1 204 No Content\n\n").await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 204 No Content");
}

/// A validation in the background was caused by a request that is answered already.
#[tokio::test]
async fn an_interim_response_to_what_nobody_waits_for_goes_nowhere() {
    let proxy = Proxy::start(&[]).await;
    let (mut client, mut server) = proxy.ask(GET).await;
    server
        .send("HTTP/1.1 200 OK\nCache-Control: max-age=0, stale-while-revalidate=600\nConnection: close\nContent-Length: 3\n\nold")
        .await;
    client.head().await;
    client.expect("old").await;
    // Nothing is validated while the fetch is still being put away.
    let mut server = within(async {
        loop {
            client.send(GET).await;
            client.head().await;
            client.expect("old").await;
            if let Ok(validation) = timeout(Duration::from_millis(50), proxy.accept()).await {
                break validation;
            }
        }
    })
    .await;
    assert_eq!(server.head().await.first_line(), "GET /a HTTP/1.1");
    client.send("GET /b HTTP/1.1\nHost: a\n\n").await;
    let mut other = proxy.accept().await;
    assert_eq!(other.head().await.first_line(), "GET /b HTTP/1.1");
    server
        .send("HTTP/1.1 103 Early Hints\nLink: </a.css>\n\nHTTP/1.1 200 OK\nCache-Control: max-age=600\nContent-Length: 3\n\nnew")
        .await;
    // When it is stored, the interim response has long come.
    let mut observer = proxy.connect().await;
    within(async {
        let mut body = [0; 3];
        while &body != b"new" {
            observer.send(GET).await;
            observer.head().await;
            observer.0.read_exact(&mut body).await.unwrap();
        }
    })
    .await;
    other.send("HTTP/1.1 200 OK\nContent-Length: 1\n\nb").await;
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
    client.expect("b").await;
}
