use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use crate::{Digest, siphash::SipHasher};

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

/// Where a [`Key`] is written: into a digest or, on demand, into a label that a person can read.
pub struct KeyWriter<'a> {
    sink: Sink<'a>,
}

enum Sink<'a> {
    Digest(&'a mut SipHasher),
    Label(&'a mut String),
}

/// The last byte of each part, so that parts of different kinds cannot be mistaken for each other.
///
/// Last and not first: what comes before it, above all the words of a text, then stands where the hash
/// takes it in whole, and the tag shares the hash's last word with what is left over. Read from its end,
/// a key still falls into its parts in one way only, since each kind says how long it is.
#[derive(Clone, Copy)]
enum Tag {
    Text = 1,
    Bytes = 2,
    Unsigned = 3,
    Signed = 4,
    V4 = 5,
    V6 = 6,
    Absent = 7,
    Present = 8,
}

impl KeyWriter<'_> {
    /// The digest, by `hasher`, of what `write` writes.
    ///
    /// Parts go into the hasher as they come: gathering them in a buffer first took twice the time, for
    /// bytes that were just written singly stall the reading of a word.
    #[inline(always)]
    pub(crate) fn digest(mut hasher: SipHasher, write: impl FnOnce(&mut KeyWriter<'_>)) -> Digest {
        write(&mut KeyWriter {
            sink: Sink::Digest(&mut hasher),
        });
        hasher.finish().into()
    }

    /// The same, where there may be nothing to write.
    #[inline(always)]
    pub(crate) fn try_digest<E>(
        mut hasher: SipHasher,
        write: impl FnOnce(&mut KeyWriter<'_>) -> Result<(), E>,
    ) -> Result<Digest, E> {
        write(&mut KeyWriter {
            sink: Sink::Digest(&mut hasher),
        })?;
        Ok(hasher.finish().into())
    }

    /// The label of what `write` writes: its parts, with `/` between them; secrets are redacted.
    ///
    /// For logs and metrics of single keys. It is not an identity: two keys may have the same label.
    ///
    /// # Errors
    ///
    /// What `write` returns.
    pub fn label<E>(write: impl FnOnce(&mut KeyWriter<'_>) -> Result<(), E>) -> Result<String, E> {
        let mut label = String::new();
        write(&mut KeyWriter {
            sink: Sink::Label(&mut label),
        })?;
        Ok(label)
    }

    /// Writes text.
    #[inline(always)]
    pub fn text(&mut self, text: &str) {
        match &mut self.sink {
            Sink::Digest(hasher) => sized(hasher, Tag::Text, text.as_bytes()),
            Sink::Label(label) => part(label).push_str(text),
        }
    }

    /// Writes what is text but need not be UTF-8, such as a header's value; the same key as
    /// [`text`](Self::text) of the same bytes.
    #[inline]
    pub fn bytes_as_text(&mut self, bytes: &[u8]) {
        match &mut self.sink {
            Sink::Digest(hasher) => sized(hasher, Tag::Text, bytes),
            Sink::Label(label) => part(label).push_str(&String::from_utf8_lossy(bytes)),
        }
    }

    /// Writes bytes, shown as hexadecimal digits.
    #[inline(always)]
    pub fn bytes(&mut self, bytes: &[u8]) {
        match &mut self.sink {
            Sink::Digest(hasher) => sized(hasher, Tag::Bytes, bytes),
            Sink::Label(label) => hexadecimal(part(label), bytes),
        }
    }

    /// Writes bytes that must not be shown: an API key, a bearer token. The label has `***` in their
    /// place.
    #[inline(always)]
    pub fn secret(&mut self, bytes: &[u8]) {
        match &mut self.sink {
            Sink::Digest(hasher) => sized(hasher, Tag::Bytes, bytes),
            Sink::Label(label) => part(label).push_str("***"),
        }
    }

    /// Writes an unsigned number.
    #[inline(always)]
    pub fn unsigned(&mut self, number: u128) {
        match &mut self.sink {
            Sink::Digest(hasher) => wide(hasher, Tag::Unsigned, number),
            Sink::Label(label) => show(label, number),
        }
    }

    /// Writes a signed number.
    #[inline(always)]
    pub fn signed(&mut self, number: i128) {
        match &mut self.sink {
            Sink::Digest(hasher) => wide(hasher, Tag::Signed, number as u128),
            Sink::Label(label) => show(label, number),
        }
    }

    /// Writes an IP address as it is. Whether `::ffff:192.0.2.1` is the IPv4 address, and how many bits
    /// of an IPv6 address make a caller, is decided by whoever extracts it.
    #[inline(always)]
    pub fn ip(&mut self, address: IpAddr) {
        match (&mut self.sink, address) {
            (Sink::Digest(hasher), IpAddr::V4(v4)) => {
                hasher.part(u64::from(v4.to_bits()) | (Tag::V4 as u64) << 32, 5);
            }
            (Sink::Digest(hasher), IpAddr::V6(v6)) => wide(hasher, Tag::V6, v6.to_bits()),
            (Sink::Label(label), address) => show(label, address),
        }
    }

    #[inline(always)]
    fn presence(&mut self, present: bool) {
        match &mut self.sink {
            Sink::Digest(hasher) => {
                hasher.part(if present { Tag::Present } else { Tag::Absent } as u64, 1);
            }
            Sink::Label(label) => {
                if !present {
                    part(label).push('-');
                }
            }
        }
    }
}

/// After the bytes, six that tell how many there were.
#[inline(always)]
fn sized(hasher: &mut SipHasher, tag: Tag, bytes: &[u8]) {
    const LENGTH: u64 = (1 << 48) - 1;
    hasher.bytes(bytes);
    hasher.part((bytes.len() as u64 & LENGTH) | (tag as u64) << 48, 7);
}

#[inline(always)]
fn wide(hasher: &mut SipHasher, tag: Tag, number: u128) {
    hasher.word(number as u64);
    hasher.word((number >> 64) as u64);
    hasher.part(tag as u64, 1);
}

impl fmt::Debug for KeyWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A hasher's state would tell of its secret.
        f.debug_struct("KeyWriter").finish_non_exhaustive()
    }
}

/// Begins a further part of a label.
#[cold]
fn part(label: &mut String) -> &mut String {
    if !label.is_empty() {
        label.push('/');
    }
    label
}

#[cold]
fn show(label: &mut String, value: impl fmt::Display) {
    // Writing into a `String` cannot fail.
    let _ = write!(part(label), "{value}");
}

#[cold]
fn hexadecimal(label: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(label, "{byte:02x}");
    }
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
