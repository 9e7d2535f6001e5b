use std::any::Any;

use buttress_core::{ExtractKey, KeyWriter, MissingKey};
use http::header::HOST;

use crate::Head;

/// Whom the request is for: the authority of its target or, where that has none, the `Host` header
/// (RFC 9110 §7.2). Compared without case.
#[derive(Clone, Copy, Debug, Default)]
pub struct Authority;

impl ExtractKey<Head> for Authority {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        if let Some(authority) = from.uri().authority() {
            key.text(&authority.as_str().to_ascii_lowercase());
            return Ok(());
        }
        let mut lines = from.headers().get_all(HOST).iter();
        match (lines.next(), lines.next()) {
            (Some(host), None) => {
                key.bytes_as_text(&host.as_bytes().to_ascii_lowercase());
                Ok(())
            }
            _ => Err(MissingKey::new("the request does not say whom it is for")),
        }
    }

    fn is_same(&self, other: &dyn Any) -> bool {
        other.is::<Self>()
    }
}
