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
        let mut info = Vec::with_capacity(32);
        put_bytes(&mut info, 1, &duration);
        let mut any = Vec::with_capacity(96);
        put_bytes(&mut any, 1, TYPE_URL.as_bytes());
        put_bytes(&mut any, 2, &info);
        let mut status = Vec::with_capacity(112 + message.len());
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(STATUS_DETAILS, value.parse().unwrap())])
    }

    fn read(status: &[u8]) -> Option<Duration> {
        let headers = headers(&BASE64.encode(status));
        RetryInfo::from_headers(&headers).map(RetryInfo::retry_delay)
    }

    fn message(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        put_bytes(&mut message, number, bytes);
        message
    }

    fn varint(number: u8, value: u64) -> Vec<u8> {
        let mut message = Vec::new();
        put_varint(&mut message, number, value);
        message
    }

    /// A status with one `RetryInfo`, whose duration has these bytes.
    fn status_with(duration: &[u8]) -> Vec<u8> {
        let mut any = message(1, TYPE_URL.as_bytes());
        put_bytes(&mut any, 2, &message(1, duration));
        message(3, &any)
    }

    /// Byte by byte, as `protoc --encode` would write it.
    #[test]
    fn is_encoded_as_the_wire_has_it() {
        let info = RetryInfo::new(Duration::new(1, 500_000_000));
        let encoded = info.to_header_value(GrpcCode::ResourceExhausted, "hi");
        let expected = [
            &[0x08, 8][..],         // code
            &[0x12, 2, b'h', b'i'], // message
            &[0x1A, 54],            // details: 42 + 12 bytes
            &[0x0A, 40],            // type_url
            b"type.googleapis.com/google.rpc.RetryInfo",
            &[0x12, 10],                           // value
            &[0x0A, 8],                            // retry_delay
            &[0x08, 1],                            // seconds
            &[0x10, 0x80, 0xCA, 0xB5, 0xEE, 0x01], // nanos
        ]
        .concat();
        assert_eq!(BASE64.decode(encoded.as_bytes()).unwrap(), expected);
        assert!(!encoded.as_bytes().contains(&b'='), "gRPC does not pad");
    }

    #[test]
    fn tonic_says_what_is_read() {
        let delay = Duration::new(86_400, 7);
        let mut details = ErrorDetails::with_quota_failure_violation("tenant", "over quota");
        details.set_retry_info(Some(delay));
        let status =
            tonic::Status::with_error_details(tonic::Code::ResourceExhausted, "no", details);
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        assert_eq!(
            RetryInfo::from_headers(&headers),
            Some(RetryInfo::new(delay))
        );
    }

    #[test]
    fn padding_and_joined_lines_do_not_matter() {
        let nothing = BASE64.encode(message(2, b"no details"));
        // Of three lengths in a row, two are padded.
        for duration in [&[0x08, 5][..], &[0x08, 0x85, 0], &[0x08, 5, 0x10, 0]] {
            let plain = BASE64.encode(status_with(duration));
            let padded = base64::prelude::BASE64_STANDARD.encode(status_with(duration));
            for value in [
                plain.clone(),
                padded.clone(),
                format!("{nothing},{plain}"),
                format!("rubbish!, {padded}"),
            ] {
                let found = RetryInfo::from_headers(&headers(&value));
                let expected = RetryInfo::new(Duration::from_secs(5));
                assert_eq!(found, Some(expected), "{value}");
            }
        }
    }

    #[test]
    fn absurd_delays() {
        let max = RetryAfter::MAX;
        let negative = |number, value: i64| varint(number, value as u64);
        let cases = [
            (vec![], Some(Duration::ZERO)),
            (varint(1, 1 << 31), Some(max)),
            (varint(1, i64::MAX as u64), Some(max)),
            ([varint(1, 1 << 31), varint(2, 1)].concat(), Some(max)),
            (
                varint(2, 999_999_999),
                Some(Duration::from_nanos(999_999_999)),
            ),
            (varint(2, 1_000_000_000), None),
            (negative(1, -1), None),
            (negative(1, i64::MIN), None),
            (negative(2, -1), None),
            (vec![0x08], None),
            (message(1, b"5"), None),
            // The last of several counts; what is not known is passed over.
            (
                [varint(1, 1), varint(1, 2), varint(9, 3)].concat(),
                Some(Duration::from_secs(2)),
            ),
        ];
        for (duration, delay) in cases {
            assert_eq!(read(&status_with(&duration)), delay, "{duration:?}");
        }
    }

    #[test]
    fn other_details_are_passed_over() {
        let other = message(3, &message(1, b"type.googleapis.com/google.rpc.ErrorInfo"));
        let lookalike = message(
            3,
            &message(1, b"type.googleapis.com/google.rpc.NoRetryInfo"),
        );
        let wanted = status_with(&[0x08, 5]);
        let status = [other, lookalike, vec![0x1A, 1, 0xFF], wanted].concat();
        assert_eq!(read(&status), Some(Duration::from_secs(5)));
        assert_eq!(read(b""), None);
        assert_eq!(RetryInfo::from_headers(&HeaderMap::new()), None);
    }

    proptest! {
        #[test]
        fn what_is_said_is_heard(seconds in 0..1_u64 << 31, nanos in 0..1_000_000_000_u32, message: String) {
            let info = RetryInfo::new(Duration::new(seconds, nanos));
            let value = info.to_header_value(GrpcCode::ResourceExhausted, &message);
            let headers = HeaderMap::from_iter([(STATUS_DETAILS, value)]);
            prop_assert_eq!(RetryInfo::from_headers(&headers), Some(info));
        }

        #[test]
        fn no_bytes_are_a_panic(value: Vec<u8>) {
            let _ = from_status(&value);
            let _ = from_status(&status_with(&value));
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let _ = RetryInfo::from_headers(&HeaderMap::from_iter([(STATUS_DETAILS, value)]));
            }
        }
    }
}
