mod writer;

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

pub use self::writer::KeyWriter;

/// Something that identifies a caller, a tenant, a route: what limits, circuits and budgets are kept by.
///
/// Its bytes are written in a stable encoding in which no two different keys are written alike:
/// `("a", "bc")` is not `("ab", "c")`, the number 1 is not the text "1".
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key",
    note = "text, bytes, integers, IP addresses, tuples and options of these are keys; implement `Key` for a type of your own by writing its parts"
)]
pub trait Key {
    /// Writes all parts of the key.
    fn write(&self, writer: &mut KeyWriter<'_>);
}

impl Key for str {
    #[inline(always)]
    fn write(&self, writer: &mut KeyWriter<'_>) {
        writer.text(self);
    }
}

impl Key for [u8] {
    #[inline(always)]
    fn write(&self, writer: &mut KeyWriter<'_>) {
        writer.bytes(self);
    }
}

/// As the slice of the same bytes.
impl<const N: usize> Key for [u8; N] {
    #[inline(always)]
    fn write(&self, writer: &mut KeyWriter<'_>) {
        writer.bytes(self);
    }
}

impl Key for IpAddr {
    #[inline(always)]
    fn write(&self, writer: &mut KeyWriter<'_>) {
        writer.ip(*self);
    }
}

impl Key for Ipv4Addr {
    #[inline(always)]
    fn write(&self, writer: &mut KeyWriter<'_>) {
        writer.ip(IpAddr::V4(*self));
    }
}

impl Key for Ipv6Addr {
    #[inline(always)]
    fn write(&self, writer: &mut KeyWriter<'_>) {
        writer.ip(IpAddr::V6(*self));
    }
}

/// Both the address and the port: every connection is a key of its own.
impl Key for SocketAddr {
    #[inline(always)]
    fn write(&self, writer: &mut KeyWriter<'_>) {
        writer.ip(self.ip());
        writer.unsigned(u128::from(self.port()));
    }
}

impl Key for bool {
    #[inline(always)]
    fn write(&self, writer: &mut KeyWriter<'_>) {
        writer.unsigned(u128::from(*self));
    }
}

macro_rules! key_by_number {
    ($method:ident, $wide:ty: $($number:ty)+) => { $(
        impl Key for $number {
            #[inline(always)]
            fn write(&self, writer: &mut KeyWriter<'_>) {
                writer.$method(*self as $wide);
            }
        }
    )+ };
}

key_by_number!(unsigned, u128: u8 u16 u32 u64 u128 usize);
key_by_number!(signed, i128: i8 i16 i32 i64 i128 isize);

macro_rules! key_by_deref {
    ($(($($generics:tt)*) $type:ty),+ $(,)?) => { $(
        impl<$($generics)*> Key for $type {
            #[inline(always)]
            fn write(&self, writer: &mut KeyWriter<'_>) {
                (**self).write(writer);
            }
        }
    )+ };
}

key_by_deref! {
    (K: Key + ?Sized) &K,
    (K: Key + ?Sized) Box<K>,
    (K: Key + ?Sized) Arc<K>,
    () String,
    () Vec<u8>,
    (K: Key + ToOwned + ?Sized) Cow<'_, K>,
}

impl<K: Key> Key for Option<K> {
    #[inline(always)]
    fn write(&self, writer: &mut KeyWriter<'_>) {
        writer.presence(self.is_some());
        if let Some(key) = self {
            key.write(writer);
        }
    }
}

/// The one key of what has no keys.
impl Key for () {
    #[inline(always)]
    fn write(&self, _writer: &mut KeyWriter<'_>) {}
}

macro_rules! key_by_parts {
    ($($name:ident)+) => {
        impl<$($name: Key),+> Key for ($($name,)+) {
            #[allow(non_snake_case, reason = "a type parameter names its value")]
            #[inline(always)]
            fn write(&self, writer: &mut KeyWriter<'_>) {
                let ($($name,)+) = self;
                $($name.write(writer);)+
            }
        }
    };
}

key_by_parts!(A B);
key_by_parts!(A B C);
key_by_parts!(A B C D);

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::DigestKey;

    fn label(key: impl Key) -> String {
        KeyWriter::label(|writer| {
            key.write(writer);
            Ok::<_, Infallible>(())
        })
        .unwrap()
    }

    #[test]
    fn different_keys_are_written_differently() {
        let secret = DigestKey::from_words(1, 2);
        let digests = [
            secret.digest(&("a", "bc")),
            secret.digest(&("ab", "c")),
            secret.digest("abc"),
            secret.digest(&b"abc"[..]),
            secret.digest("1"),
            secret.digest(&1_u8),
            secret.digest(&1_i8),
            secret.digest(&()),
            secret.digest(&None::<&str>),
            secret.digest(&Some("")),
            secret.digest(""),
            secret.digest(&Ipv4Addr::new(1, 2, 3, 4)),
            secret.digest(&Ipv4Addr::new(1, 2, 3, 4).to_ipv6_mapped()),
            secret.digest(&0x0403_0201_u32),
        ];
        for (n, one) in digests.iter().enumerate() {
            assert!(!digests[..n].contains(one), "the key in place {n} collides");
        }
    }

    #[test]
    fn the_way_to_a_key_does_not_matter() {
        let secret = DigestKey::from_words(1, 2);
        let expected = secret.digest("alice");
        assert_eq!(secret.digest(&"alice"), expected);
        assert_eq!(secret.digest(&String::from("alice")), expected);
        assert_eq!(secret.digest(&Arc::<str>::from("alice")), expected);
        assert_eq!(secret.digest(&Cow::Borrowed("alice")), expected);
        assert_eq!(secret.digest(&7_u8), secret.digest(&7_u64));
        assert_eq!(secret.digest(b"alice"), secret.digest(&b"alice"[..]));
        assert_eq!(secret.digest(b"alice"), secret.digest(&b"alice".to_vec()));
    }

    #[test]
    fn labels_are_readable_and_hide_secrets() {
        assert_eq!(
            label(("acme", 7_u8, Ipv4Addr::LOCALHOST)),
            "acme/7/127.0.0.1"
        );
        assert_eq!(label((&b"\x00\xff"[..], None::<u8>, -1_i32)), "00ff/-/-1");
        let redacted = KeyWriter::label(|writer| {
            writer.text("key");
            writer.secret(b"sk-live-123");
            Ok::<_, Infallible>(())
        });
        assert_eq!(redacted.as_deref(), Ok("key/***"));
    }

    proptest! {
        /// No two ways of cutting the same bytes into parts are written alike.
        #[test]
        fn where_a_part_ends_is_part_of_the_key(bytes in prop::collection::vec(any::<u8>(), 0..40), cut in 0_usize..40, other in 0_usize..40) {
            let secret = DigestKey::from_words(3, 4);
            let digest = |cut: usize| secret.digest(&bytes.split_at(cut.min(bytes.len())));
            prop_assert_eq!(digest(cut) == digest(other), cut.min(bytes.len()) == other.min(bytes.len()));
        }
    }
}
