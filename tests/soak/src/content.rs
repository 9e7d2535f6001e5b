//! What bodies are made of: bytes that nobody but who knows their number can tell.

use bytes::Bytes;

/// The first `length` bytes of what belongs to `number`.
pub(crate) fn of(number: u64, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(number).fill(&mut bytes);
    bytes.into()
}

/// The first `length` bytes of what belongs to `number`, as gRPC frames a message: not compressed, and how long it is.
pub(crate) fn message(number: u64, length: usize) -> Bytes {
    let prefix = (length as u64 & u64::from(u32::MAX)).to_be_bytes();
    [&prefix[3..], &of(number, length)].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own() {
        assert_eq!(of(1, 1_000), of(1, 1_000));
        assert_ne!(of(1, 1_000), of(2, 1_000));
        assert_eq!(of(1, 1_000).slice(..16), of(1, 16));
        assert!(of(1, 0).is_empty());
    }

    #[test]
    fn a_message_says_how_long_it_is() {
        let message = message(1, 258);
        assert_eq!(message[..5], [0, 0, 0, 1, 2]);
        assert_eq!(message[5..], of(1, 258));
    }
}
