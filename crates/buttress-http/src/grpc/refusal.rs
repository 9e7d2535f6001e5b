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
    pushback: Pushed,
}

/// What `grpc-retry-pushback-ms` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pushed {
    Nothing,
    /// The wait, where there is one.
    Wait,
    Never,
}

impl GrpcRefusal {
    /// A refusal with `code`, and with a `message` for a person to read.
    #[must_use]
    pub fn new(code: GrpcCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
            pushback: Pushed::Nothing,
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
        self.pushback = if enabled {
            Pushed::Wait
        } else {
            Pushed::Nothing
        };
        self
    }

    /// Says that every retry is in vain: a negative `grpc-retry-pushback-ms`, upon which gRPC libraries do not
    /// retry, whatever their policy says of the code (gRPC proposal A6).
    #[must_use]
    pub const fn never_retry(mut self) -> Self {
        self.pushback = Pushed::Never;
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
        }
        match (self.pushback, self.retry_after) {
            (Pushed::Wait, Some(wait)) => {
                headers.insert(RETRY_PUSHBACK, pushback::encode(wait));
            }
            (Pushed::Never, _) => {
                headers.insert(RETRY_PUSHBACK, HeaderValue::from_static("-1"));
            }
            (Pushed::Wait, None) | (Pushed::Nothing, _) => {}
        }
        response
    }
}

/// The media type to answer in: gRPC-Web has several, and the caller reads the one that it wrote in.
fn content_type(request: &HeaderMap) -> HeaderValue {
    match Protocol::of(request) {
        Protocol::Http | Protocol::Grpc => HeaderValue::from_static("application/grpc"),
        Protocol::GrpcWeb => {
            web_form(request).unwrap_or(HeaderValue::from_static("application/grpc-web"))
        }
    }
}

/// More than twice as long as `application/grpc-web-text+proto`.
const LONGEST_FORM: usize = 64;

/// The request's media type without its parameters, if it is one; what else the caller wrote is not
/// reflected.
fn web_form(request: &HeaderMap) -> Option<HeaderValue> {
    let asked = request.get(CONTENT_TYPE)?.as_bytes();
    let form = asked.split(|&byte| byte == b';').next()?.trim_ascii();
    let is_media_type = form.len() <= LONGEST_FORM
        && form
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b"+-./".contains(&byte));
    is_media_type.then(|| HeaderValue::from_bytes(form).ok())?
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::grpc::Pushback;

    fn request(content_type: &str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())])
    }

    /// A bare 429 would become UNAVAILABLE, and base64 that does not decode panics in tonic's client.
    #[test]
    fn tonic_reads_what_was_meant() {
        for wait in [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_millis(1_250),
            Duration::from_secs(u64::from(u32::MAX)),
        ] {
            for message in ["", "10 calls a second", "zu früh:\n100%"] {
                let response = GrpcRefusal::resource_exhausted(message)
                    .retry_after(wait)
                    .into_response(&request("application/grpc"));
                let status = tonic::Status::from_header_map(response.headers()).unwrap();
                assert_eq!(status.code(), tonic::Code::ResourceExhausted);
                assert_eq!(status.message(), message);
                let info = status.get_details_retry_info().unwrap();
                assert_eq!(info.retry_delay, Some(wait));
                let details = status.check_error_details().unwrap();
                assert!(details.retry_info().is_some());
            }
        }
    }

    #[test]
    fn is_trailers_only() {
        let response = GrpcRefusal::unavailable("").into_response(&HeaderMap::new());
        assert_eq!(response.status(), 200);
        let headers = response.headers();
        assert_eq!(headers.len(), 2, "{headers:?}");
        assert_eq!(headers[CONTENT_TYPE], "application/grpc");
        assert_eq!(headers[STATUS], "14");
    }

    #[test]
    fn pushback_is_said_on_demand() {
        let refusal = GrpcRefusal::resource_exhausted("").retry_after(Duration::from_micros(1_500));
        let silent = refusal.clone().into_response(&HeaderMap::new());
        assert!(!silent.headers().contains_key(RETRY_PUSHBACK));
        let response = refusal.pushback(true).into_response(&HeaderMap::new());
        assert_eq!(response.headers()[RETRY_PUSHBACK], "2");
        let without_wait = GrpcRefusal::resource_exhausted("").pushback(true);
        let response = without_wait.into_response(&HeaderMap::new());
        assert!(!response.headers().contains_key(RETRY_PUSHBACK));
        let in_vain = GrpcRefusal::resource_exhausted("").never_retry();
        let response = in_vain.into_response(&HeaderMap::new());
        assert_eq!(
            Pushback::from_headers(response.headers()),
            Some(Pushback::Never)
        );
    }

    #[test]
    fn a_message_of_any_length_is_said() {
        let message = "%".repeat(1 << 16);
        let response = GrpcRefusal::unavailable(message.clone())
            .retry_after(Duration::MAX)
            .into_response(&HeaderMap::new());
        let status = tonic::Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.message(), message);
    }

    #[test]
    fn answers_in_the_form_of_the_request() {
        let long = format!("application/grpc-web+{}", "a".repeat(1_000));
        let cases = [
            ("application/grpc", "application/grpc"),
            ("application/grpc+proto", "application/grpc"),
            ("application/json", "application/grpc"),
            ("application/grpc-web", "application/grpc-web"),
            ("application/grpc-web+proto", "application/grpc-web+proto"),
            ("application/grpc-web-text", "application/grpc-web-text"),
            (
                "application/grpc-web-text+proto ; charset=utf-8",
                "application/grpc-web-text+proto",
            ),
            ("application/grpc-web+json", "application/grpc-web+json"),
            ("application/grpc-web+<script>", "application/grpc-web"),
            ("application/grpc-web,text/html", "application/grpc"),
            (&long, "application/grpc-web"),
        ];
        for (asked, answered) in cases {
            let response = GrpcRefusal::unavailable("").into_response(&request(asked));
            assert_eq!(response.headers()[CONTENT_TYPE], answered, "{asked}");
        }
    }
}
