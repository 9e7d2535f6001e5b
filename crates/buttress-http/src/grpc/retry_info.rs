use std::time::Duration;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderValue};

use super::{
    GrpcCode, STATUS_DETAILS,
    protobuf::{Field, fields, put_bytes, put_varint},
};
use crate::RetryAfter;

/// gRPC's `google.rpc.RetryInfo`: how long to wait before a call is tried again.
///
/// It travels in `grpc-status-details-bin`, as the base64 of a `google.rpc.Status` that holds the status
/// again and any number of details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryInfo {
    retry_delay: Duration,
}

const TYPE_URL: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// What a `google.protobuf.Duration` may hold: ten thousand years.
const MAX_SECONDS: u64 = 315_576_000_000;

/// Written without padding, as gRPC's own libraries do; read with or without it, as the specification
/// asks.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl RetryInfo {
    /// Wait for `retry_delay`.
    #[must_use]
    pub const fn new(retry_delay: Duration) -> Self {
        Self { retry_delay }
    }

    /// How long to wait.
    #[must_use]
    pub const fn retry_delay(self) -> Duration {
        self.retry_delay
    }

    /// Reads the first one from the details in a map of headers or of trailers.
    ///
    /// `None` where there is none that can be read, and where its delay is negative. A delay beyond
    /// [`RetryAfter::MAX`] is clamped to it.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        headers
            .get_all(STATUS_DETAILS)
            .iter()
            // A proxy may have joined several lines.
            .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
            .find_map(|value| {
                let status = BASE64.decode(value.trim_ascii()).ok()?;
                from_status(&status)
            })
    }

    /// The value of `grpc-status-details-bin` that says it, along with the status.
    pub(super) fn to_header_value(self, code: GrpcCode, message: &str) -> HeaderValue {
        let mut duration = Vec::new();
        put_varint(
            &mut duration,
            1,
            self.retry_delay.as_secs().min(MAX_SECONDS),
        );
        put_varint(&mut duration, 2, self.retry_delay.subsec_nanos().into());
        let mut info = Vec::new();
        put_bytes(&mut info, 1, &duration);
        let mut any = Vec::new();
        put_bytes(&mut any, 1, TYPE_URL.as_bytes());
        put_bytes(&mut any, 2, &info);
        let mut status = Vec::new();
        put_varint(&mut status, 1, code.as_u32().into());
        if !message.is_empty() {
            put_bytes(&mut status, 2, message.as_bytes());
        }
        put_bytes(&mut status, 3, &any);
        // Base64 is printable.
        HeaderValue::try_from(BASE64.encode(status))
            .unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// Of `google.rpc.Status{3: details}`, the first detail that is a `RetryInfo`.
fn from_status(status: &[u8]) -> Option<RetryInfo> {
    fields(status)
        .map_while(Result::ok)
        .filter(|(number, _)| *number == 3)
        .find_map(|(_, field)| match field {
            Field::Bytes(any) => from_any(any),
            Field::Varint(_) | Field::Fixed => None,
        })
}

/// `google.protobuf.Any{1: type_url, 2: value}`. Only the part of the URL after the last slash counts.
fn from_any(any: &[u8]) -> Option<RetryInfo> {
    let url = last_bytes(any, 1)?.unwrap_or_default();
    if !url.ends_with(b"/google.rpc.RetryInfo") {
        return None;
    }
    let info = last_bytes(any, 2)?.unwrap_or_default();
    let duration = last_bytes(info, 1)?.unwrap_or_default();
    from_duration(duration)
}

/// `google.protobuf.Duration{1: seconds, 2: nanos}`.
fn from_duration(duration: &[u8]) -> Option<RetryInfo> {
    let seconds = last_varint(duration, 1)?;
    // Signed: what is negative comes as a number beyond these.
    if seconds > i64::MAX.unsigned_abs() {
        return None;
    }
    let nanos = u32::try_from(last_varint(duration, 2)?).ok()?;
    if nanos > 999_999_999 {
        return None;
    }
    let delay = Duration::from_secs(seconds.min(RetryAfter::MAX.as_secs()));
    Some(RetryInfo {
        retry_delay: (delay + Duration::from_nanos(nanos.into())).min(RetryAfter::MAX),
    })
}

/// The last field of this number, as protobuf has it; `None` where the message is malformed.
fn last<'a>(message: &'a [u8], wanted: u64) -> Option<Option<Field<'a>>> {
    fields(message).try_fold(None, |found, field| match field.ok()? {
        (number, field) if number == wanted => Some(Some(field)),
        _ => Some(found),
    })
}

fn last_bytes(message: &[u8], number: u64) -> Option<Option<&[u8]>> {
    match last(message, number)? {
        Some(Field::Bytes(bytes)) => Some(Some(bytes)),
        Some(_) => None,
        None => Some(None),
    }
}

/// Zero where there is none.
fn last_varint(message: &[u8], number: u64) -> Option<u64> {
    match last(message, number)? {
        Some(Field::Varint(value)) => Some(value),
        Some(_) => None,
        None => Some(0),
    }
}
