//! Answers to API keys that stand in a header of their own.
//!
//! What was asked for with `Authorization` a shared cache stores only where the answer says that it is for others, too (RFC 9111
//! §3.5). Of a header that is this operator's own no cache knows that much: what one key may see would be shown to the next.
//! So the answer is said to differ by that header, unless it is for others; which is true, and holds further out, too.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{extract::Request, response::Response};
use http::{
    HeaderMap, HeaderName,
    header::{CACHE_CONTROL, VARY},
};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::chosen;
use crate::shared::{Answer, Shared};

/// Marks answers to requests that have the field, if there is one; and those that are [chosen] by what no request has.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) inner: Shared,
    pub(super) field: Option<HeaderName>,
}

impl Service<Request> for Credentials {
    type Response = Response;
    type Error = Infallible;
    type Future = Marked;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Marked {
        let field = self.field.as_ref();
        let field = field.filter(|field| request.headers().contains_key(*field));
        Marked {
            field: field.cloned(),
            answer: self.inner.call(request),
        }
    }
}

pin_project! {
    /// An answer that is going to be marked, if it is one of those.
    pub(super) struct Marked {
        field: Option<HeaderName>,
        answer: Answer,
    }
}

impl Future for Marked {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.answer.as_mut().poll(cx))?;
        if let Some(field) = this.field.take()
            && !is_for_others(answer.headers())
        {
            answer.headers_mut().append(VARY, field.into());
        }
        chosen::mark(answer.headers_mut());
        Poll::Ready(Ok(answer))
    }
}

fn is_for_others(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).into_iter();
    let mut directives = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    directives.any(|directive| {
        let name = directive.split(|byte| *byte == b'=').next();
        let name = name.unwrap_or_default().trim_ascii();
        ["public", "must-revalidate", "s-maxage"]
            .iter()
            .any(|word| name.eq_ignore_ascii_case(word.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_answer_is_for_others_where_it_says_so() {
        for (line, expected) in [
            ("max-age=60, Public", true),
            ("s-maxage=60", true),
            ("MUST-REVALIDATE,max-age=1", true),
            ("max-age=60", false),
            ("private, max-age=60", false),
            ("publicity", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
            headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
            assert_eq!(is_for_others(&headers), expected, "{line}");
        }
    }
}
