//! How gRPC says "too many", and how it is heard.
//!
//! A gRPC caller that meets a bare HTTP 429 reports `UNAVAILABLE`, the code that most policies retry at
//! once. So a refusal is a *Trailers-Only* response: HTTP 200, the status in the headers, no body.

mod code;
mod message;
mod protobuf;
mod protocol;
mod pushback;
mod refusal;
mod retry_info;

use http::HeaderName;

pub use self::{
    code::{GrpcCode, grpc_status},
    protocol::Protocol,
    pushback::Pushback,
    refusal::GrpcRefusal,
    retry_info::RetryInfo,
};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const RETRY_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
