use std::any::Any;

use buttress_core::{ExtractKey, KeyWriter, MissingKey};
use http::{Uri, header::HOST};

use crate::Head;

/// Whom the request is for: the authority of its target or, where that has none, the `Host` header
/// (RFC 9110 §7.2). Compared without case.
///
/// The calls of tonic's generated clients name nobody, unless the client was made `with_origin`: in front of a `Channel`,
/// which has one upstream, no key is needed.
///
/// Credentials in a target (`user:password@`, RFC 9110 §4.2.4) are no part of the key, nor of its label.
#[derive(Clone, Copy, Debug, Default)]
pub struct Authority;

impl ExtractKey<Head> for Authority {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        if let Some(authority) = of_target(from.uri()) {
            lower_case(authority.as_bytes(), key);
            return Ok(());
        }
        let mut lines = from.headers().get_all(HOST).iter();
        match (lines.next(), lines.next()) {
            (Some(host), None) => {
                lower_case(host.as_bytes(), key);
                Ok(())
            }
            _ => Err(MissingKey::new("the request does not say whom it is for")),
        }
    }

    fn is_same(&self, other: &dyn Any) -> bool {
        other.is::<Self>()
    }
}

fn of_target(uri: &Uri) -> Option<&str> {
    let authority = uri.authority()?.as_str();
    Some(
        authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host),
    )
}

/// Nearly all of them are in lower case as they come.
fn lower_case(authority: &[u8], key: &mut KeyWriter<'_>) {
    if authority.iter().any(u8::is_ascii_uppercase) {
        key.bytes_as_text(&authority.to_ascii_lowercase());
    } else {
        key.bytes_as_text(authority);
    }
}
