use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};

use super::{
    GrpcCode, MESSAGE, Protocol, RETRY_PUSHBACK, RetryInfo, STATUS, STATUS_DETAILS, message,
    pushback,
};

/// A refusal in gRPC: a *Trailers-Only* response.
///
/// ```
/// use std::time::Duration;
/// use buttress_http::{GrpcRefusal, ResponseBody, RetryInfo};
///
/// # let request = http::HeaderMap::new();
/// let response = GrpcRefusal::resource_exhausted("10 calls a second")
///     .retry_after(Duration::from_millis(250))
///     .into_response(&request)
///     .map(|()| ResponseBody::<String>::empty());
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.headers()["grpc-status"], "8");
/// assert_eq!(
///     RetryInfo::from_headers(response.headers()),
///     Some(RetryInfo::new(Duration::from_millis(250)))
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcRefusal {
    code: GrpcCode,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    pushback: bool,
}

impl GrpcRefusal {
    /// A refusal with `code`, and with a `message` for a person to read.
    #[must_use]
    pub fn new(code: GrpcCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
            pushback: false,
        }
    }

    /// A rate limit's refusal.
    #[must_use]
    pub fn resource_exhausted(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(GrpcCode::ResourceExhausted, message)
    }

    /// An open circuit's refusal, or that of a service which sheds load.
    #[must_use]
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(GrpcCode::Unavailable, message)
    }

    /// Says how long to wait, in a [`RetryInfo`].
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Whether to say the wait in `grpc-retry-pushback-ms` as well, which gRPC libraries obey by
    /// themselves if their retry policy covers the code (gRPC proposal A6). Off by default.
    #[must_use]
    pub const fn pushback(mut self, enabled: bool) -> Self {
        self.pushback = enabled;
        self
    }

    /// The response to a request with these headers: in `application/grpc`, or in that form of
    /// gRPC-Web in which the request came.
    ///
    /// It has no body. Give it one whose `is_end_stream` is true from the start, such as
    /// [`ResponseBody::empty`](crate::ResponseBody::empty): then the headers end the stream.
    #[must_use]
    pub fn into_response(self, request: &HeaderMap) -> Response<()> {
        self.into_response_as(content_type(request))
    }

    /// The response with this `Content-Type`, where the request is gone.
    #[must_use]
    pub fn into_response_as(self, content_type: HeaderValue) -> Response<()> {
        let mut response = Response::new(());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(STATUS, self.code.to_header_value());
        if !self.message.is_empty() {
            headers.insert(MESSAGE, message::encode(&self.message));
        }
        if let Some(wait) = self.retry_after {
            let details = RetryInfo::new(wait).to_header_value(self.code, &self.message);
            headers.insert(STATUS_DETAILS, details);
            if self.pushback {
                headers.insert(RETRY_PUSHBACK, pushback::encode(wait));
            }
        }
        response
    }
}

/// The media type to answer in. It is one of our own, not the request's: what the caller wrote is not
/// reflected.
fn content_type(request: &HeaderMap) -> HeaderValue {
    HeaderValue::from_static(match Protocol::of(request) {
        Protocol::Http | Protocol::Grpc => "application/grpc",
        Protocol::GrpcWeb => web_form(request),
    })
}

fn web_form(request: &HeaderMap) -> &'static str {
    const FORMS: [&str; 4] = [
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpc-web-text",
        "application/grpc-web-text+proto",
    ];
    let asked = request
        .get(CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let asked = asked.split(|&byte| byte == b';').next().unwrap_or_default();
    FORMS
        .into_iter()
        .find(|form| asked.trim_ascii().eq_ignore_ascii_case(form.as_bytes()))
        .unwrap_or("application/grpc-web")
}
