//! What RFC 9110 asks of every proxy, as the examples that are one do it: `gateway` and `cache-proxy`.
//!
//! | module | holds |
//! |---|---|
//! | [`hop_by_hop`] | the fields that are for one hop only, which go no further (§7.6.1) |
//! | [`interim`] | interim responses, which are handed on before the answer (§15.2) |

pub mod hop_by_hop;
pub mod interim;
