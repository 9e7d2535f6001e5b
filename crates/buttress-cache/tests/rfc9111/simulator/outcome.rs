//! How it came out, for the client.

use std::time::SystemTime;

use buttress_cache::rfc9111::{
    Answer, RequestHead, StoredHead, answer, answer_head, gateway_timeout,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

/// What the client got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) how: String,
    /// Whether the origin's answer was kept, or why not; `None` if there was none.
    pub(crate) kept: Option<String>,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// A revalidation in the background is due.
    pub(crate) background: bool,
    /// The origin's answer was not kept, and what is stored is outdated by it.
    pub(super) outdates: bool,
}

pub(super) fn served(
    how: &str,
    request: &RequestHead<'_>,
    head: &StoredHead,
    body: &[u8],
    now: SystemTime,
) -> Outcome {
    let answer = answer(request, head, body.len() as u64, now);
    let (status, headers) = answer_head(&answer, head, now);
    let content = match answer {
        _ if *request.method() == Method::HEAD => Vec::new(),
        Answer::Stored => body.to_vec(),
        Answer::Part(slice) => body[slice.offset as usize..][..slice.length as usize].to_vec(),
        _ => Vec::new(),
    };
    Outcome {
        how: how.to_owned(),
        kept: None,
        status,
        headers,
        body: content,
        background: false,
        outdates: false,
    }
}

pub(super) fn client(
    how: &str,
    kept: Option<&str>,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Outcome {
    Outcome {
        how: how.to_owned(),
        kept: kept.map(str::to_owned),
        status,
        headers,
        body,
        background: false,
        outdates: false,
    }
}

pub(super) fn timeout(why: &str) -> Outcome {
    let (status, mut headers) = gateway_timeout();
    headers.insert("why", HeaderValue::try_from(why).unwrap());
    Outcome {
        how: "timeout".to_owned(),
        status,
        headers,
        ..Outcome::default()
    }
}
