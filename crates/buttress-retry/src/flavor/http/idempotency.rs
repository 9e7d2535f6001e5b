use std::fmt::Write as _;

use buttress_core::{DigestKey, Random};
use buttress_http::Head;
use http::{HeaderName, HeaderValue, Method, request::Parts};

/// How an `Idempotency-Key` is written that the layer adds (draft-ietf-httpapi-idempotency-key-header).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyForm {
    /// `"8e03978e-40d5-43dd-bc93-6894a57f9324"`: a String of Structured Fields, as the draft has it.
    #[default]
    Quoted,
    /// `8e03978e-40d5-43dd-bc93-6894a57f9324`: as Stripe and others have it.
    Bare,
}

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl KeyForm {
    /// One key for all attempts of a request that needs one and has none. A tunnel needs none.
    pub(super) fn add(self, parts: &mut Parts, random: &Random, secret: &DigestKey) {
        if is_idempotent(&parts.method)
            || parts.method == Method::CONNECT
            || parts.headers.contains_key(IDEMPOTENCY_KEY)
        {
            return;
        }
        // Under a secret of this layer: a seed that makes jitter the same in every run does not make keys the same.
        let drawn = (random.up_to(u64::MAX), random.up_to(u64::MAX));
        let key = self.write(secret.digest(&drawn).as_u128());
        if let Ok(key) = HeaderValue::try_from(key) {
            parts.headers.insert(IDEMPOTENCY_KEY, key);
        }
    }

    /// As a UUID of version 4 (RFC 9562 §5.4).
    fn write(self, bits: u128) -> String {
        let bits = bits & !(0xF000 << 64 | 0xC000_u128 << 48) | 0x4000 << 64 | 0x8000_u128 << 48;
        let quote = match self {
            Self::Quoted => "\"",
            Self::Bare => "",
        };
        let mut key = String::with_capacity(38);
        // Writing into a `String` cannot fail.
        let _ = write!(
            key,
            "{quote}{:08x}-{:04x}-{:04x}-{:04x}-{:012x}{quote}",
            bits >> 96,
            bits >> 80 & 0xFFFF,
            bits >> 64 & 0xFFFF,
            bits >> 48 & 0xFFFF,
            bits & 0xFFFF_FFFF_FFFF,
        );
        key
    }
}

/// RFC 9110 §9.2.2.
pub(super) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// Whether the request names itself, so that a server can tell that it has seen it before.
pub(super) fn has_key(head: &Head) -> bool {
    let key = head.headers().get(IDEMPOTENCY_KEY);
    key.is_some_and(|key| !matches!(key.as_bytes().trim_ascii(), b"" | b"\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_uuid_of_version_4() {
        let key = KeyForm::Bare.write(u128::MAX);
        assert_eq!(key, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let key = KeyForm::Quoted.write(0x0123_4567_89AB_CDEF_0123_4567_89AB_CDEF);
        assert_eq!(key, "\"01234567-89ab-4def-8123-456789abcdef\"");
    }

    #[test]
    fn is_added_once_where_it_is_needed() {
        let random = Random::seeded(1);
        let with = |method: Method, key: Option<&'static str>| {
            let mut request = http::Request::new(());
            *request.method_mut() = method;
            if let Some(key) = key {
                let key = HeaderValue::from_static(key);
                request.headers_mut().insert(IDEMPOTENCY_KEY, key);
            }
            let mut parts = request.into_parts().0;
            KeyForm::Bare.add(&mut parts, &random, &DigestKey::from_words(1, 2));
            parts
        };
        assert!(!has_key((&with(Method::GET, None)).into()));
        assert!(!has_key((&with(Method::POST, Some("\"\""))).into()));
        let key = |parts: Parts| parts.headers[IDEMPOTENCY_KEY].clone();
        assert_eq!(key(with(Method::POST, Some("mine"))), "mine");
        let (one, other) = (with(Method::POST, None), with(Method::PATCH, None));
        assert!(has_key((&one).into()));
        assert_ne!(key(one), key(other));
    }
}
