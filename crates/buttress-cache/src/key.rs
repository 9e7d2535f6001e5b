use buttress_core::{Digest, DigestKey, Key, KeyWriter};

use crate::rfc9111::Target;

/// The key of a target: of whoever's partition it is, if there are any.
#[inline]
pub(crate) fn key_of(secret: &DigestKey, target: &Target<'_>, partition: Option<Digest>) -> Digest {
    match partition {
        None => secret.digest(&Fed(target)),
        Some(partition) => secret.digest(&(Fed(target), partition.as_u128())),
    }
}

/// Under which those who miss `key` share a fetch: who comes with credentials shares it with others who do. A
/// shared cache may mostly keep nothing of what these are answered, and nobody else is to wait for it, nor to learn
/// from it that waiting is in vain.
#[inline]
pub(crate) fn flight_key(key: Digest, with_credentials: bool) -> Digest {
    /// Any bits that are not all zero.
    const WITH_CREDENTIALS: u128 = 0x6372_6564_656e_7469_616c_735f_6f6e_6c79;
    match with_credentials {
        true => Digest::from_u128(key.as_u128() ^ WITH_CREDENTIALS),
        false => key,
    }
}

struct Fed<'a, 'b>(&'a Target<'b>);

impl Key for Fed<'_, '_> {
    #[inline]
    fn write(&self, writer: &mut KeyWriter<'_>) {
        self.0.feed(|bytes: &[u8]| writer.bytes(bytes));
    }
}
