//! Who may read the gateway's own errors in a browser (Fetch standard, "CORS protocol").
//!
//! What an upstream answers it allows pages to read itself. A 401, a 429 or a 502 of the gateway's never was there, and to a
//! page it is a request that failed, without a status and without a word on when to come back.

use axum::response::Response;
use http::{
    HeaderMap, HeaderValue,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ORIGIN, VARY,
    },
};

use crate::refusal;

/// What a refusal may say beside its body, in whatever form it is said.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Retry-After, Retry-After-Ms, RateLimit, RateLimit-Policy, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, \
     X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, WWW-Authenticate, Grpc-Status, Grpc-Message, \
     Grpc-Status-Details-Bin, Grpc-Retry-Pushback-Ms",
);

/// The pages that may, by their origin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    /// Whether all may.
    any: bool,
    origins: Vec<HeaderValue>,
}

/// The page that a request comes from, if it is one of those.
#[derive(Clone, Debug)]
pub(crate) struct Page(HeaderValue);

impl Pages {
    /// As `errors.cors` has them, which was checked.
    pub(crate) fn of(origins: &[String]) -> Self {
        let any = origins.iter().any(|origin| origin == "*");
        let named = origins.iter().filter(|_| !any);
        Self {
            any,
            origins: named.filter_map(|origin| origin.parse().ok()).collect(),
        }
    }

    /// The page that asks, if it may read what is answered.
    pub(crate) fn of_request(&self, fields: &HeaderMap) -> Option<Page> {
        // None are configured, mostly, and then nobody need be looked up.
        if !self.any && self.origins.is_empty() {
            return None;
        }
        let origin = fields.get(ORIGIN)?;
        if self.any {
            return Some(Page(HeaderValue::from_static("*")));
        }
        let mut origins = self.origins.iter();
        origins.find(|named| *named == origin).cloned().map(Page)
    }
}

impl Page {
    /// Lets the page read the response, if it is of the gateway's own.
    pub(crate) fn reads(self, response: &mut Response) {
        if !refusal::is_our_own(response) {
            return;
        }
        let fields = response.headers_mut();
        if self.0 != "*" {
            // A page that sends cookies along is answered for, too; which it may not be by the asterisk.
            let yes = HeaderValue::from_static("true");
            fields.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
            fields.append(VARY, HeaderValue::from_static("Origin"));
        }
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.0);
        fields.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
