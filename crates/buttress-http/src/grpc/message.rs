use http::HeaderValue;

/// A `grpc-message`: its UTF-8 bytes, percent-encoded but for space to `~` without `%` (gRPC over
/// HTTP/2, "Responses").
pub(super) fn encode(message: &str) -> HeaderValue {
    let mut encoded = Vec::with_capacity(message.len());
    for &byte in message.as_bytes() {
        match byte {
            b'%' => encoded.extend_from_slice(b"%25"),
            b' '..=b'~' => encoded.push(byte),
            _ => encoded.extend([b'%', hexadecimal(byte >> 4), hexadecimal(byte & 0xF)]),
        }
    }
    // What is left is printable.
    HeaderValue::from_maybe_shared(bytes::Bytes::from(encoded))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn hexadecimal(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' - 10 + nibble,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_printable_is_encoded() {
        let cases = [
            ("", ""),
            ("slow down, please!~", "slow down, please!~"),
            ("100%", "100%25"),
            ("a\r\nb\0\x7f", "a%0D%0Ab%00%7F"),
            ("zu früh", "zu fr%C3%BCh"),
            ("\u{1F6D1}", "%F0%9F%9B%91"),
        ];
        for (message, encoded) in cases {
            assert_eq!(encode(message), encoded, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn tonic_decodes_it(message: String) {
            let headers = http::HeaderMap::from_iter([
                (super::super::STATUS, HeaderValue::from_static("8")),
                (super::super::MESSAGE, encode(&message)),
            ]);
            let status = tonic::Status::from_header_map(&headers).unwrap();
            prop_assert_eq!(status.message(), message);
        }
    }
}
