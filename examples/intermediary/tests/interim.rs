//! Interim responses between hyper's server and a client that is written by hand.

use std::convert::Infallible;

use buttress_by_hand::{Raw, within};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use intermediary::interim::{Before, Exchange, Interim, Wire};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

const GET: &str = "GET / HTTP/1.1\nHost: a\n\n";

const PROCESSING: &str = "HTTP/1.1 102 Processing";

/// A request that came.
struct Asked {
    exchange: Option<Exchange>,
    answer: oneshot::Sender<Response<Full<Bytes>>>,
}

impl Asked {
    fn exchange(&self) -> &Exchange {
        self.exchange.as_ref().unwrap()
    }

    fn answer(self) {
        let answer = Response::new(Full::from("body"));
        self.answer.send(answer).unwrap();
    }
}

/// A client, and the requests of its that come.
async fn connected() -> (Raw, mpsc::UnboundedReceiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Raw::connect(listener.local_addr().unwrap()).await;
    let (stream, _) = within(listener.accept()).await.unwrap();
    let (came, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let interim = Interim::default();
        let wire = Wire::of(TokioIo::new(stream), interim.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let exchange = interim.begin(request.version());
            let (answer, answered) = oneshot::channel();
            came.send(Asked {
                exchange: exchange.clone(),
                answer,
            })
            .unwrap();
            let answer = Before::of(exchange, answered);
            async { Ok::<_, Infallible>(answer.await.unwrap()) }
        });
        let served = http1::Builder::new().serve_connection(wire, service);
        // The client leaves when the test ends.
        let _ = served.await;
    });
    (client, asked)
}

async fn next(asked: &mut mpsc::UnboundedReceiver<Asked>) -> Asked {
    within(asked.recv()).await.unwrap()
}

fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect()
}

#[tokio::test]
async fn they_come_before_the_answer() {
    let (mut client, mut asked) = connected().await;
    for _ in 0..2 {
        client.send(GET).await;
        let request = next(&mut asked).await;
        // While it is waited for.
        request
            .exchange()
            .send(StatusCode::PROCESSING, &HeaderMap::new());
        assert_eq!(client.head().await.first_line(), PROCESSING);
        // At once with it.
        request.exchange().send(
            StatusCode::EARLY_HINTS,
            &fields(&[
                ("link", "</a.css>; rel=preload"),
                ("connection", "x-hop"),
                ("x-hop", "1"),
            ]),
        );
        // One that has no name.
        let unnamed = StatusCode::from_u16(199).unwrap();
        request.exchange().send(unnamed, &HeaderMap::new());
        request.answer();
        let hints = client.head().await;
        assert_eq!(hints.first_line(), "HTTP/1.1 103 Early Hints");
        assert_eq!(hints.one("link"), "</a.css>; rel=preload");
        assert_eq!((hints.get("connection"), hints.get("x-hop")), (None, None));
        let unnamed = client.head().await;
        assert!(unnamed.first_line().starts_with("HTTP/1.1 199"));
        let answer = client.head().await;
        assert_eq!(answer.first_line(), "HTTP/1.1 200 OK");
        assert_eq!(answer.get("link"), None);
        client.expect("body").await;
    }
}

/// Such as a fetch that goes on after who asked for it has its answer from elsewhere.
#[tokio::test]
async fn what_comes_after_the_answer_goes_nowhere() {
    let (mut client, mut asked) = connected().await;
    client.send(GET).await;
    let first = next(&mut asked).await;
    let late = first.exchange().clone();
    first.answer();
    client.head().await;
    client.expect("body").await;
    late.send(StatusCode::EARLY_HINTS, &HeaderMap::new());

    // Nor to the request that waits by then.
    client.send(GET).await;
    let second = next(&mut asked).await;
    late.send(StatusCode::EARLY_HINTS, &HeaderMap::new());
    second.answer();
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn http_1_0_knows_none() {
    let (mut client, mut asked) = connected().await;
    client.send("GET / HTTP/1.0\nHost: a\n\n").await;
    let request = next(&mut asked).await;
    assert!(request.exchange.is_none());
    request.answer();
    assert_eq!(client.head().await.first_line(), "HTTP/1.0 200 OK");
}

/// hyper's server says it, when the body is read.
#[tokio::test]
async fn one_that_asks_for_the_body_is_not_handed_on() {
    let (mut client, mut asked) = connected().await;
    client.send(GET).await;
    let request = next(&mut asked).await;
    for status in [StatusCode::CONTINUE, StatusCode::PROCESSING] {
        request.exchange().send(status, &HeaderMap::new());
    }
    assert_eq!(client.head().await.first_line(), PROCESSING);
}

/// 64 KiB of them, while the client does not read.
#[tokio::test]
async fn no_more_wait_than_there_is_room_for() {
    let (mut client, mut asked) = connected().await;
    client.send(GET).await;
    let request = next(&mut asked).await;
    // With the rest of the message a KiB.
    let link = HeaderValue::try_from("x".repeat(988)).unwrap();
    let hints = HeaderMap::from_iter([(http::header::LINK, link)]);
    for _ in 0..100 {
        // Nothing is written meanwhile: there is one thread, and this task does not let go of it.
        request.exchange().send(StatusCode::EARLY_HINTS, &hints);
    }
    request.answer();
    let mut handed_on = 0;
    while client.head().await.first_line() != "HTTP/1.1 200 OK" {
        handed_on += 1;
    }
    assert_eq!(handed_on, 64);
}
