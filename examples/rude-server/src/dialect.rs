use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;

use crate::answer::Response;

/// How one of them says "too many": a row of `dialects.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dialect {
    status: u16,
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default)]
    body: String,
}

pub(crate) type Dialects = BTreeMap<String, Dialect>;

/// The rows that come with the server.
pub(crate) const BUILT_IN: &str = include_str!("../dialects.toml");

impl Dialect {
    /// The refusal, which tells to come back after `wait`, where the clock shows `now`.
    pub(crate) fn refuse(&self, wait: Duration, now: SystemTime) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        let mut response = Response::new(status, fill(&self.body, wait, now));
        for line in &self.headers {
            if let Some((name, value)) = field(line, wait, now) {
                response.headers.append(name, value);
            }
        }
        response
    }

    /// What is wrong with a row, when it is read.
    pub(crate) fn validate(&self) -> Result<(), String> {
        StatusCode::from_u16(self.status).map_err(|error| format!("{}: {error}", self.status))?;
        for line in &self.headers {
            field(line, Duration::ZERO, SystemTime::UNIX_EPOCH)
                .ok_or_else(|| format!("{line}: no header field"))?;
        }
        Ok(())
    }
}

fn field(line: &str, wait: Duration, now: SystemTime) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(": ")?;
    let value = fill(value, wait, now);
    Some((
        name.parse().ok()?,
        HeaderValue::from_bytes(value.as_bytes()).ok()?,
    ))
}

fn fill(template: &str, wait: Duration, now: SystemTime) -> String {
    let end = (now + wait)
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let end_of_second = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds_up(end));
    [
        ("{seconds}", seconds_up(wait).to_string()),
        ("{milliseconds}", milliseconds_up(wait).to_string()),
        ("{fraction}", fraction(wait)),
        ("{span}", format!("{}s", fraction(wait))),
        ("{date}", httpdate::fmt_http_date(end_of_second)),
        ("{epoch}", seconds_up(end).to_string()),
        ("{epoch_fraction}", fraction(end)),
        ("{epoch_ms}", milliseconds_up(end).to_string()),
        (
            "{rfc3339}",
            humantime::format_rfc3339_seconds(end_of_second).to_string(),
        ),
    ]
    .iter()
    .fold(template.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    })
}

/// Whole seconds, rounded up: nobody is to come back too early.
fn seconds_up(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

fn milliseconds_up(span: Duration) -> u128 {
    span.as_nanos().div_ceil(1_000_000)
}

fn fraction(span: Duration) -> String {
    let milliseconds = milliseconds_up(span);
    format!("{}.{:03}", milliseconds / 1_000, milliseconds % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_row_makes_sense() {
        let dialects: Dialects = toml::from_str(BUILT_IN).unwrap();
        for (name, dialect) in dialects {
            dialect.validate().unwrap();
            let response = dialect.refuse(Duration::from_millis(1_250), SystemTime::UNIX_EPOCH);
            for value in response.headers.values() {
                assert!(
                    !value.as_bytes().contains(&b'{'),
                    "{name}: {value:?} is not filled in"
                );
            }
        }
    }

    #[test]
    fn waits_are_rounded_up() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_760_011_200_400);
        let filled = |template| fill(template, Duration::from_micros(1_250_100), now);
        let cases = [
            ("{seconds}", "2"),
            ("{milliseconds}", "1251"),
            ("{fraction}", "1.251"),
            ("{span}", "1.251s"),
            ("{date}", "Thu, 09 Oct 2025 12:00:02 GMT"),
            ("{epoch}", "1760011202"),
            ("{epoch_fraction}", "1760011201.651"),
            ("{epoch_ms}", "1760011201651"),
            ("{rfc3339}", "2025-10-09T12:00:02Z"),
            (r#"{"a":{seconds}}"#, r#"{"a":2}"#),
        ];
        for (template, text) in cases {
            assert_eq!(filled(template), text);
        }
    }
}
