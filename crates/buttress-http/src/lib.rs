#![doc = include_str!("../README.md")]
// Labels what stands behind a feature; on docs.rs, whose compiler is a nightly one.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod client_ip;
pub mod fields;
pub mod grpc;
pub mod keys;
pub mod rate_limit_info;

mod body;
mod classify;
mod decimal;
mod head;
mod http_date;
mod local_refusal;
mod peer;
mod problem;
mod retry_after;
mod seconds;

pub use body::ResponseBody;
pub use classify::{GrpcClassifier, HttpClassifier};
pub use client_ip::{ClientIp, TrustedProxies};
pub use fields::{FieldStyle, LimitItem, QuotaItem, QuotaUnit, RateLimitFields};
pub use grpc::{GrpcCode, GrpcRefusal, Protocol, Pushback, RetryInfo, grpc_status};
pub use head::Head;
pub use http_date::{http_date_value, parse_http_date};
pub use local_refusal::LocalRefusal;
pub use peer::{PeerAddr, peer_addr};
pub use problem::{Problem, ProblemType};
pub use rate_limit_info::{Advice, BodyHints, Cause, RateLimitInfo, Verdict};
pub use retry_after::{RetryAfter, retry_after_seconds, retry_after_value};
