use std::{
    io::{self, Write},
    net::IpAddr,
    time::{Duration, SystemTime},
};

use http::{Method, StatusCode};
use serde::{Serialize, Serializer};

use super::Decision;

/// A call that is over, as a line of the call log tells of it.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    /// When it began.
    #[serde(serialize_with = "rfc3339")]
    pub(super) time: SystemTime,
    /// Whose it is, where that can be told.
    pub(super) client: Option<IpAddr>,
    #[serde(serialize_with = "method")]
    pub(super) method: Method,
    pub(super) path: Box<str>,
    /// Of the answer; none where the client left before it.
    #[serde(serialize_with = "status")]
    pub(super) status: Option<StatusCode>,
    /// How many bytes of the answer's body, or through a tunnel, went to the client.
    pub(super) bytes: u64,
    #[serde(rename = "took_ms", serialize_with = "took")]
    pub(super) took: Duration,
    pub(super) end: End,
    pub(super) decisions: Vec<Decision>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// The answer was sent to its last byte.
    Complete,
    /// The client left in the middle of the answer.
    ClientLeft,
    /// The upstream broke off in the middle of the answer.
    UpstreamBrokeOff,
    /// The client left, or the gateway was cut off, before there was an answer.
    Cancelled,
    /// It became a tunnel, and both sides ended it.
    Tunnel,
}

impl Record {
    /// Writes it as one line.
    pub(crate) fn write_to(&self, line: &mut Vec<u8>) -> io::Result<()> {
        serde_json::to_writer(&mut *line, self)?;
        line.write_all(b"\n")
    }
}

/// Milliseconds, to the microsecond.
pub(super) fn millis(span: Duration) -> f64 {
    // Exact up to 285 years.
    span.as_micros() as f64 / 1_000.0
}

fn took<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(millis(*span))
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

fn method<S: Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

fn status<S: Serializer>(status: &Option<StatusCode>, serializer: S) -> Result<S::Ok, S::Error> {
    match status {
        Some(status) => serializer.serialize_some(&status.as_u16()),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
impl Record {
    /// Any.
    pub(crate) fn example() -> Self {
        Self {
            time: SystemTime::UNIX_EPOCH,
            client: None,
            method: Method::GET,
            path: "/".into(),
            status: None,
            bytes: 0,
            took: Duration::ZERO,
            end: End::Cancelled,
            decisions: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_a_line() {
        let record = Record {
            client: Some("192.0.2.1".parse().unwrap()),
            path: "/v1/\"quoted\"\n".into(),
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_123),
            method: Method::GET,
            status: Some(StatusCode::TOO_MANY_REQUESTS),
            bytes: 7,
            took: Duration::from_micros(1_250),
            end: End::ClientLeft,
            decisions: vec![
                Decision::of("per_ip", "admitted").remaining(3),
                Decision::of("per_key", "refused").retry_after(Some(Duration::from_millis(1_500))),
                Decision::of("upstream", "answered")
                    .upstream(&"a".into())
                    .attempt(2)
                    .status(Some(200))
                    .took(Duration::from_millis(1)),
            ],
        };
        let mut line = Vec::new();
        record.write_to(&mut line).unwrap();
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "{\"time\":\"1994-11-06T08:49:37.123Z\",\"client\":\"192.0.2.1\",\"method\":\"GET\",\
             \"path\":\"/v1/\\\"quoted\\\"\\n\",\"status\":429,\"bytes\":7,\"took_ms\":1.25,\"end\":\"client_left\",\
             \"decisions\":[{\"layer\":\"per_ip\",\"verdict\":\"admitted\",\"remaining\":3},\
             {\"layer\":\"per_key\",\"verdict\":\"refused\",\"retry_after_ms\":1500.0},\
             {\"layer\":\"upstream\",\"verdict\":\"answered\",\"upstream\":\"a\",\"attempt\":2,\"status\":200,\
             \"took_ms\":1.0}]}\n"
        );
    }
}
