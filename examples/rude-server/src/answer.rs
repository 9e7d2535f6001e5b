use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Response(Box<Response>),

    /// The connection is closed, and not a word said.
    Cut,

    /// HTTP/2: the stream is refused, which proves that nothing was done (RFC 9113 §8.7).
    RefusedStream,

    /// HTTP/2: the stream is ended with an error that proves nothing.
    Reset,

    /// HTTP/2: the server leaves, and says that it did not look at this stream.
    GoAway,
}

/// A response, part by part.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) pause: Duration,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<Part>,
    pub(crate) trailers: Option<HeaderMap>,
}

#[derive(Debug)]
pub(crate) enum Part {
    Data(Bytes),
    Pause(Duration),

    /// The connection is closed in mid-body.
    Cut,
}

impl Response {
    pub(crate) fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let body: Bytes = body.into();
        let body = if body.is_empty() {
            Vec::new()
        } else {
            vec![Part::Data(body)]
        };
        Self {
            pause: Duration::ZERO,
            status,
            headers: HeaderMap::new(),
            body,
            trailers: None,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    pub(crate) fn answer(self) -> Answer {
        Answer::Response(Box::new(self))
    }

    /// How long the body is, if it comes to its end.
    pub(crate) fn length(&self) -> usize {
        let length = |part: &Part| match part {
            Part::Data(data) => data.len(),
            // So much is missing.
            Part::Cut => 1,
            Part::Pause(_) => 0,
        };
        self.body.iter().map(length).sum()
    }
}
