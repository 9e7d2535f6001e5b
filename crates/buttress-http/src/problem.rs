use std::borrow::Cow;

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde_json::{Map, Value};

use crate::decimal::Decimal;

/// A refusal that explains itself to a program: `application/problem+json` (RFC 9457).
///
/// ```
/// use buttress_http::Problem;
///
/// let response = Problem::quota_exceeded(["daily"])
///     .detail("1000 requests a day are free of charge")
///     .into_response();
/// assert_eq!(response.status(), 429);
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// assert_eq!(
///     response.body(),
///     "{\"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded\",\
///        \"title\":\"Request cannot be satisfied as assigned quota has been exceeded\",\
///        \"status\":429,\
///        \"detail\":\"1000 requests a day are free of charge\",\
///        \"violated-policies\":[\"daily\"]}"
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: StatusCode,
    type_uri: Option<Cow<'static, str>>,
    title: Option<Cow<'static, str>>,
    detail: Option<Cow<'static, str>>,
    instance: Option<Cow<'static, str>>,
    extensions: Map<String, Value>,
}

impl Problem {
    /// A problem that only has a status. Without a type its type is `about:blank`: the status says all.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            type_uri: None,
            title: None,
            detail: None,
            instance: None,
            extensions: Map::new(),
        }
    }

    /// The caller is over its quota (429), under the policies `violated`.
    #[must_use]
    pub fn quota_exceeded<'a>(violated: impl IntoIterator<Item = &'a str>) -> Self {
        Self::registered(ProblemType::QuotaExceeded, violated)
    }

    /// There is less to be had than usual, for everybody (503), under the policies `violated`.
    #[must_use]
    pub fn temporary_reduced_capacity<'a>(violated: impl IntoIterator<Item = &'a str>) -> Self {
        Self::registered(ProblemType::TemporaryReducedCapacity, violated)
    }

    /// The caller behaves as if it were broken or hostile (429), under the policies `violated`.
    #[must_use]
    pub fn abnormal_usage_detected<'a>(violated: impl IntoIterator<Item = &'a str>) -> Self {
        Self::registered(ProblemType::AbnormalUsageDetected, violated)
    }

    fn registered<'a>(kind: ProblemType, violated: impl IntoIterator<Item = &'a str>) -> Self {
        let violated = violated.into_iter().map(Value::from).collect();
        Self::new(kind.status())
            .type_uri(kind.uri())
            .title(kind.title())
            .extension(VIOLATED_POLICIES, Value::Array(violated))
    }

    /// The URI that names the problem's type (RFC 9457 §3.1.1).
    #[must_use]
    pub fn type_uri(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.type_uri = Some(uri.into());
        self
    }

    /// The type in a few words, the same each time it occurs (RFC 9457 §3.1.3).
    #[must_use]
    pub fn title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// This occurrence, in words that help the caller to get over it (RFC 9457 §3.1.4).
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// A URI that names this occurrence (RFC 9457 §3.1.5).
    #[must_use]
    pub fn instance(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.instance = Some(uri.into());
        self
    }

    /// A further member (RFC 9457 §3.2). The five standard members have methods of their own: under one
    /// of their names nothing is added.
    #[must_use]
    pub fn extension(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let name = name.into();
        if !STANDARD_MEMBERS.contains(&name.as_str()) {
            self.extensions.insert(name, value.into());
        }
        self
    }

    /// The status, which the response has too.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The JSON text.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut json = Vec::with_capacity(256);
        json.push(b'{');
        text_member(&mut json, "type", self.type_uri.as_deref());
        text_member(&mut json, "title", self.title.as_deref());
        value_member(&mut json, "status", &Value::from(self.status.as_u16()));
        text_member(&mut json, "detail", self.detail.as_deref());
        text_member(&mut json, "instance", self.instance.as_deref());
        for (name, value) in &self.extensions {
            value_member(&mut json, name, value);
        }
        json.push(b'}');
        json.into()
    }

    /// The response: status, `Content-Type`, `Content-Length` and the JSON text.
    #[must_use]
    pub fn into_response(self) -> Response<Bytes> {
        let body = self.to_bytes();
        let length = Decimal::of(body.len() as u64).into_header_value();
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
        headers.insert(CONTENT_LENGTH, length);
        response
    }
}

const CONTENT: &str = "application/problem+json";
const STANDARD_MEMBERS: [&str; 5] = ["type", "title", "status", "detail", "instance"];
const VIOLATED_POLICIES: &str = "violated-policies";

fn text_member(json: &mut Vec<u8>, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        name_of_member(json, name);
        // Into a vector text is always written.
        let _ = serde_json::to_writer(json, text);
    }
}

fn value_member(json: &mut Vec<u8>, name: &str, value: &Value) {
    name_of_member(json, name);
    // As is a value: its keys are text, and its numbers are finite.
    let _ = serde_json::to_writer(json, value);
}

fn name_of_member(json: &mut Vec<u8>, name: &str) {
    if json.len() > 1 {
        json.push(b',');
    }
    let _ = serde_json::to_writer(&mut *json, name);
    json.push(b':');
}

/// The problem types that draft-ietf-httpapi-ratelimit-headers-11 §5 registers. Each has a member
/// `violated-policies`, an array of policies' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemType {
    /// The caller is over its quota.
    QuotaExceeded,

    /// There is less to be had than usual, for everybody.
    TemporaryReducedCapacity,

    /// The caller's requests look like an accident or an attack.
    AbnormalUsageDetected,
}

impl ProblemType {
    /// The URI that names it (draft-ietf-httpapi-ratelimit-headers-11 §5).
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::QuotaExceeded => "https://iana.org/assignments/http-problem-types#quota-exceeded",
            Self::TemporaryReducedCapacity => {
                "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
            }
            Self::AbnormalUsageDetected => {
                "https://iana.org/assignments/http-problem-types#abnormal-usage-detected"
            }
        }
    }

    /// The type in a few words (RFC 9457 §3.1.3), as the draft registers it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::QuotaExceeded => {
                "Request cannot be satisfied as assigned quota has been exceeded"
            }
            Self::TemporaryReducedCapacity => {
                "Request cannot be satisfied due to temporary server capacity constraints"
            }
            Self::AbnormalUsageDetected => {
                "Request not satisfied due to detection of abnormal request pattern"
            }
        }
    }

    /// The status that goes with it.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::QuotaExceeded | Self::AbnormalUsageDetected => StatusCode::TOO_MANY_REQUESTS,
            Self::TemporaryReducedCapacity => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.to_bytes()).unwrap()
    }

    #[test]
    fn a_bare_problem_has_a_status() {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(read(&problem), json!({ "status": 429 }));
    }

    #[test]
    fn all_members_are_there() {
        let problem = Problem::new(StatusCode::FORBIDDEN)
            .type_uri("https://example.com/probs/out-of-credit")
            .title("You do not have enough credit.")
            .detail("Your current balance is 30, \"but\" that costs\n50.")
            .instance("/account/12345/msgs/abc")
            .extension("balance", 30)
            .extension("accounts", json!(["/account/12345", "/account/67890"]));
        assert_eq!(
            read(&problem),
            json!({
                "type": "https://example.com/probs/out-of-credit",
                "title": "You do not have enough credit.",
                "status": 403,
                "detail": "Your current balance is 30, \"but\" that costs\n50.",
                "instance": "/account/12345/msgs/abc",
                "balance": 30,
                "accounts": ["/account/12345", "/account/67890"],
            })
        );
    }

    /// A JSON text with one name twice means different things to different readers.
    #[test]
    fn an_extension_cannot_take_a_standard_name() {
        let problem = STANDARD_MEMBERS
            .iter()
            .fold(Problem::new(StatusCode::BAD_GATEWAY), |problem, name| {
                problem.extension(*name, "taken")
            });
        assert_eq!(read(&problem), json!({ "status": 502 }));
    }

    #[test]
    fn the_registered_types() {
        let cases = [
            (Problem::quota_exceeded(["a", "b"]), 429, "quota-exceeded"),
            (
                Problem::temporary_reduced_capacity(["a", "b"]),
                503,
                "temporary-reduced-capacity",
            ),
            (
                Problem::abnormal_usage_detected(["a", "b"]),
                429,
                "abnormal-usage-detected",
            ),
        ];
        for (problem, status, fragment) in cases {
            let read = read(&problem);
            let uri = format!("https://iana.org/assignments/http-problem-types#{fragment}");
            assert_eq!(read["type"], json!(uri));
            assert_eq!(read["status"], json!(status));
            assert_eq!(read["violated-policies"], json!(["a", "b"]));
            assert!(read["title"].is_string());
            assert_eq!(problem.status().as_u16(), status);
        }
    }

    #[test]
    fn the_response_says_the_same() {
        let response = Problem::new(StatusCode::SERVICE_UNAVAILABLE)
            .detail("ü")
            .into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let length = response.body().len();
        assert_eq!(response.headers()[CONTENT_LENGTH], length.to_string());
    }
}
