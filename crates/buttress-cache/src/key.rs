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

/// All of these.
pub(crate) fn flight_keys(key: Digest) -> [Digest; 2] {
    [false, true].map(|with_credentials| flight_key(key, with_credentials))
}

struct Fed<'a, 'b>(&'a Target<'b>);

impl Key for Fed<'_, '_> {
    #[inline]
    fn write(&self, writer: &mut KeyWriter<'_>) {
        self.0.parts(|bytes| writer.bytes(bytes));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use http::Uri;

    use super::*;

    fn key(uri: &str) -> Digest {
        let uri: Uri = uri.parse().unwrap();
        let target = Target::of_uri(&uri).unwrap();
        key_of(&DigestKey::from_words(1, 2), &target, None)
    }

    #[test]
    fn a_host_has_no_case_however_long_it_is() {
        for bytes in [1, 63, 64, 65, 128, 200] {
            let (upper, lower) = ("A".repeat(bytes), "a".repeat(bytes));
            let mixed = format!("{}A", "a".repeat(bytes - 1));
            let of = |host: &str| key(&format!("http://{host}/b"));
            assert_eq!(of(&upper), of(&lower), "{bytes}");
            assert_eq!(of(&mixed), of(&lower), "{bytes}");
        }
    }

    #[test]
    fn where_a_part_ends_matters() {
        let keys = [
            "http://a/b",
            "http://ab/",
            "http://a/",
            "http://a/B",
            "https://a/b",
            "httpa://a/b",
        ]
        .map(key);
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{at}");
        }
    }
}
