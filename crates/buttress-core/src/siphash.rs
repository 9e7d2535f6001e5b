/// SipHash-1-3 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF").
///
/// Here and not from a crate, so that all of it is inlined where a key's kind is known: then what waits
/// in `tail` is known too, the state stays in registers, and who reads only one half of the output does
/// not compute the other. `docs/decisions.md` has the measurement; the crate `siphasher` is the oracle of
/// the tests.
#[derive(Clone)]
pub(crate) struct SipHasher {
    state: State,
    /// Bytes that do not fill a word yet, from the lowest on.
    tail: u64,
    /// Bytes written.
    length: usize,
}

#[derive(Clone, Copy)]
struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl SipHasher {
    #[inline(always)]
    pub(crate) fn keyed(k0: u64, k1: u64) -> Self {
        Self {
            state: State {
                v0: k0 ^ 0x736f_6d65_7073_6575,
                v1: k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
                v2: k0 ^ 0x6c79_6765_6e65_7261,
                v3: k1 ^ 0x7465_6462_7974_6573,
            },
            tail: 0,
            length: 0,
        }
    }

    /// Writes eight bytes, the lowest first.
    #[inline(always)]
    pub(crate) fn word(&mut self, word: u64) {
        self.part(word, 8);
    }

    /// Writes the lowest `size` bytes of `bytes`, 1 to 8. Those above are zero.
    #[inline(always)]
    pub(crate) fn part(&mut self, bytes: u64, size: usize) {
        let waiting = self.length % 8;
        self.length += size;
        self.tail |= bytes << (8 * waiting);
        if waiting + size >= 8 {
            self.state.compress(self.tail);
            self.tail = if waiting == 0 {
                0
            } else {
                bytes >> (8 * (8 - waiting))
            };
        }
    }

    #[inline(always)]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        // Whole words leave as much waiting as there was, so what they are shifted by is asked once.
        self.length += words.len() * 8;
        match self.length % 8 {
            0 => {
                for word in words {
                    self.state.compress(word);
                }
            }
            waiting => {
                for word in words {
                    self.state.compress(self.tail | word << (8 * waiting));
                    self.tail = word >> (8 * (8 - waiting));
                }
            }
        }
        if !rest.is_empty() {
            self.part(lowest(rest), rest.len());
        }
    }

    /// The two halves of the output, the one that is ready first first.
    #[inline(always)]
    pub(crate) fn finish(mut self) -> (u64, u64) {
        self.state
            .compress((self.length as u64 & 0xff) << 56 | self.tail);
        self.state.v2 ^= 0xee;
        let first = self.state.finalize();
        self.state.v1 ^= 0xdd;
        (first, self.state.finalize())
    }
}

impl State {
    #[inline(always)]
    fn compress(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline(always)]
    fn finalize(&mut self) -> u64 {
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    #[inline(always)]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);

        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }
}

/// Up to seven bytes as the lowest ones of a word: the first ones and the last ones, some of which are the same.
#[inline(always)]
fn lowest(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (bytes.len() - 4));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u16::from_le_bytes(*first), u16::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (bytes.len() - 2));
    }
    bytes.first().map_or(0, |byte| u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher as _;

    use proptest::prelude::*;
    use siphasher::sip128::{Hasher128 as _, SipHasher13};

    use super::*;

    fn oracle(k0: u64, k1: u64, bytes: &[u8]) -> (u64, u64) {
        let mut hasher = SipHasher13::new_with_keys(k0, k1);
        hasher.write(bytes);
        hasher.finish128().as_u64()
    }

    #[test]
    fn agrees_with_the_crate_on_every_short_length() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..=bytes.len() {
            let mut hasher = SipHasher::keyed(1, 2);
            hasher.bytes(&bytes[..length]);
            assert_eq!(
                hasher.finish(),
                oracle(1, 2, &bytes[..length]),
                "{length} bytes"
            );
        }
    }

    proptest! {
        /// However the bytes are cut, and whatever waits when a part is written.
        #[test]
        fn agrees_with_the_crate_on_any_parts(k0: u64, k1: u64, parts: Vec<(Vec<u8>, u64, usize)>) {
            let (mut hasher, mut written) = (SipHasher::keyed(k0, k1), Vec::new());
            for (bytes, number, size) in parts {
                hasher.bytes(&bytes);
                written.extend_from_slice(&bytes);
                hasher.word(number);
                written.extend_from_slice(&number.to_le_bytes());
                let size = size % 8 + 1;
                let low = number >> (64 - 8 * size);
                hasher.part(low, size);
                written.extend_from_slice(&low.to_le_bytes()[..size]);
            }
            prop_assert_eq!(hasher.finish(), oracle(k0, k1, &written));
        }
    }
}
