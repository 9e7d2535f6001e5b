//! Answers to API keys that stand in a header of their own.
//!
//! What was asked for with `Authorization` a shared cache stores only where the answer says that it is for others, too (RFC 9111
//! §3.5). Of a header that is this operator's own no cache knows that much: what one key may see would be shown to the next.
//! So the answer is said to differ by that header, unless it is for others; which is true, and holds further out, too.

use axum::extract::Request;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, VARY},
};

use crate::shared::{Answer, Serve, Shared};

/// Marks answers to requests that have the field.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) inner: Shared,
    pub(super) field: HeaderName,
}

impl Serve for Credentials {
    fn serve(&self, request: Request) -> Answer {
        if !request.headers().contains_key(&self.field) {
            return self.inner.serve(request);
        }
        let (answer, field) = (
            self.inner.serve(request),
            HeaderValue::from(self.field.clone()),
        );
        Box::pin(async {
            let mut answer = answer.await?;
            if !is_for_others(answer.headers()) {
                answer.headers_mut().append(VARY, field);
            }
            Ok(answer)
        })
    }
}

fn is_for_others(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).into_iter();
    let mut directives = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|directive| directive.split('=').next().unwrap_or_default().trim());
    directives.any(|directive| {
        ["public", "must-revalidate", "s-maxage"]
            .iter()
            .any(|word| directive.eq_ignore_ascii_case(word))
    })
}

#[cfg(test)]
mod tests {
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
