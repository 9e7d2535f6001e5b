use std::fmt;

use http::{HeaderMap, HeaderValue};

use super::STATUS;

macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident = $number:literal $text:literal,)+) => {
        /// A gRPC status code (grpc.io, "Status codes and their use in gRPC").
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum GrpcCode {
            $($(#[$doc])+ $name = $number,)+
        }

        impl GrpcCode {
            /// The code of a number; `None` past 16.
            #[must_use]
            pub const fn from_u32(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The name, as gRPC writes it: `RESOURCE_EXHAUSTED`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

codes! {
    /// It worked.
    Ok = 0 "OK",
    /// The caller cancelled the call.
    Cancelled = 1 "CANCELLED",
    /// An error that is of no known kind, or that an unknown party made.
    Unknown = 2 "UNKNOWN",
    /// The request makes no sense, whatever the state of the system is.
    InvalidArgument = 3 "INVALID_ARGUMENT",
    /// The time was up before the call was done.
    DeadlineExceeded = 4 "DEADLINE_EXCEEDED",
    /// What was asked for is not there.
    NotFound = 5 "NOT_FOUND",
    /// What was to be created is there already.
    AlreadyExists = 6 "ALREADY_EXISTS",
    /// The caller may not do that.
    PermissionDenied = 7 "PERMISSION_DENIED",
    /// A quota or another resource is used up: the code of a rate limit.
    ResourceExhausted = 8 "RESOURCE_EXHAUSTED",
    /// The system is not in the state that the request needs.
    FailedPrecondition = 9 "FAILED_PRECONDITION",
    /// The call was given up, usually for a conflict with another.
    Aborted = 10 "ABORTED",
    /// Past the end of what there is.
    OutOfRange = 11 "OUT_OF_RANGE",
    /// There is no such method.
    Unimplemented = 12 "UNIMPLEMENTED",
    /// Something that should always hold did not.
    Internal = 13 "INTERNAL",
    /// Not at the moment: the code of a shed call and of an open circuit.
    Unavailable = 14 "UNAVAILABLE",
    /// Data is gone or damaged for good.
    DataLoss = 15 "DATA_LOSS",
    /// The caller did not say who it is.
    Unauthenticated = 16 "UNAUTHENTICATED",
}

impl GrpcCode {
    /// The number, as it stands in `grpc-status`.
    #[must_use]
    pub const fn as_u32(self) -> u32 {
        self as u32
    }

    pub(super) fn to_header_value(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Ok => "0",
            Self::Cancelled => "1",
            Self::Unknown => "2",
            Self::InvalidArgument => "3",
            Self::DeadlineExceeded => "4",
            Self::NotFound => "5",
            Self::AlreadyExists => "6",
            Self::PermissionDenied => "7",
            Self::ResourceExhausted => "8",
            Self::FailedPrecondition => "9",
            Self::Aborted => "10",
            Self::OutOfRange => "11",
            Self::Unimplemented => "12",
            Self::Internal => "13",
            Self::Unavailable => "14",
            Self::DataLoss => "15",
            Self::Unauthenticated => "16",
        })
    }
}

impl fmt::Display for GrpcCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The status in a map of headers (of a Trailers-Only response) or of trailers.
///
/// `None` where there is none; [`GrpcCode::Unknown`] where it is no code that is known, as the gRPC
/// specification asks.
#[must_use]
pub fn grpc_status(headers: &HeaderMap) -> Option<GrpcCode> {
    let value = headers.get(STATUS)?.as_bytes();
    Some(parse(value).unwrap_or(GrpcCode::Unknown))
}

/// One or two digits, without leading zeros.
fn parse(value: &[u8]) -> Option<GrpcCode> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
    GrpcCode::from_u32(match *value {
        [ones] => digit(ones)?,
        [b'1', ones] => 10 + digit(ones)?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(status: &str) -> HeaderMap {
        HeaderMap::from_iter([(STATUS, status.parse().unwrap())])
    }

    #[test]
    fn numbers_and_codes_are_one() {
        for number in 0..=16 {
            let code = GrpcCode::from_u32(number).unwrap();
            assert_eq!(code.as_u32(), number);
            assert_eq!(code.to_header_value(), number.to_string());
            assert_eq!(grpc_status(&headers(&number.to_string())), Some(code));
        }
        assert_eq!(
            GrpcCode::ResourceExhausted.to_string(),
            "RESOURCE_EXHAUSTED"
        );
        assert_eq!(GrpcCode::from_u32(17), None);
        assert_eq!(GrpcCode::from_u32(u32::MAX), None);
    }

    #[test]
    fn a_status_that_is_no_code_is_unknown() {
        assert_eq!(grpc_status(&HeaderMap::new()), None);
        for status in ["", "17", "08", "99", "-1", "+8", " 8 ", "8.0", "OK", "100"] {
            assert_eq!(
                grpc_status(&headers(status)),
                Some(GrpcCode::Unknown),
                "{status}"
            );
        }
    }
}
