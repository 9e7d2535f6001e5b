//! HTTP caching (RFC 9111) as functions of (options, request, what is stored, response, `now`).
//!
//! Nothing here knows a clock, a lock, a task or a socket. Every decision is a value that carries its reason, and no
//! input makes any of it panic, or do work that is not bounded by the input's size:
//!
//! | question | function | RFC |
//! |---|---|---|
//! | is the store asked at all? | [`admit`] | 9111 §4 |
//! | under which key? | [`Target`] | 9111 §2 |
//! | which of the variants? | [`select`] | 9111 §4.1 |
//! | may it be used as it is? | [`reuse`], [`miss`] | 9111 §4.2, §5.2.1, 5861 §3, 8246 |
//! | what does the client get of it? | [`answer`], [`answer_head`] | 9111 §4.3.2, 9110 §13, §14 |
//! | what is asked of the origin? | [`condition`], [`detach`], [`completion`] | 9111 §4.3.1, §3.4 |
//! | what does its answer mean? | [`validated`], [`head_response`], [`unreachable()`] | 9111 §4.3.3 to §4.3.5, §4.2.4, 5861 §4 |
//! | is it kept? | [`store`], [`StoredHead::complete`], [`combine`] | 9111 §3, 9213 |
//! | what does it outdate? | [`invalidate`], [`invalidated_uris`] | 9111 §4.4 |
//! | how is all this told? | [`CacheStatus`] | 9211 |

mod age;
mod answer;
mod cache_control;
mod cache_status;
mod combine;
mod conditional;
mod entity_tag;
mod field_pattern;
mod fields;
mod forward;
mod freshness;
mod head;
mod invalidate;
mod join;
mod key;
mod list;
mod options;
mod range;
mod reference;
mod request;
mod reuse;
mod select;
mod storable;
mod stored;
mod targeted;
mod update;
mod validate;
mod vary;

pub use age::age_value;
pub use answer::{Answer, answer, answer_head, gateway_timeout};
pub use cache_control::{MaxStale, RequestDirectives, ResponseDirectives};
pub use cache_status::CacheStatus;
pub use combine::{Combined, Piece, combine};
pub use field_pattern::FieldPattern;
pub use forward::Forward;
pub use freshness::Source;
pub use head::{HeadEffect, head_response};
pub use invalidate::{invalidate, invalidated_uris};
pub(crate) use invalidate::{is_unknown, names_targets};
pub use join::{Joined, join};
pub use key::Target;
pub use options::{Heuristic, Options, SetCookie};
pub use range::{Part, Slice};
pub(crate) use request::Read;
pub use request::{Admission, Pass, RequestHead, admit, may_collapse};
pub(crate) use reuse::but_for_doubt;
pub use reuse::{Miss, Reuse, Served, miss, reuse};
pub use select::{Selection, select};
pub use storable::{Refusal, Store, store};
pub(crate) use storable::{forbids_by_method, to_keep};
pub use stored::{Incomplete, StoredHead, Times};
pub use update::Upkeep;
pub(crate) use validate::is_of_the_moment;
pub use validate::{Unreachable, Validated, completion, condition, detach, unreachable, validated};
pub use vary::Vary;
