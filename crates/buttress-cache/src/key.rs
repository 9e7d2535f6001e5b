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

struct Fed<'a, 'b>(&'a Target<'b>);

impl Key for Fed<'_, '_> {
    #[inline]
    fn write(&self, writer: &mut KeyWriter<'_>) {
        self.0.feed(|bytes: &[u8]| writer.bytes(bytes));
    }
}
