use std::{
    fmt::{self, Write as _},
    net::IpAddr,
};

use crate::{Digest, siphash::SipHasher};

/// Where a [`Key`](crate::Key) is written: into a digest or, on demand, into a label that a person can read.
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
    pub(super) fn presence(&mut self, present: bool) {
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
