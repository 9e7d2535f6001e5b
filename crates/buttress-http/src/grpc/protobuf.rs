//! As much of Protocol Buffers' wire format as three small messages take.

/// A field of a message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Of a fixed width, which none of our messages has.
    Fixed,
}

/// Appends a varint field; zero is the default and is not written.
pub(super) fn put_varint(message: &mut Vec<u8>, number: u8, value: u64) {
    if value != 0 {
        message.push(number << 3);
        put_raw_varint(message, value);
    }
}

/// Appends a field of bytes, of text or of a message.
pub(super) fn put_bytes(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    message.push(number << 3 | 2);
    put_raw_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn put_raw_varint(message: &mut Vec<u8>, mut value: u64) {
    while value > 0x7F {
        message.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// The fields of a message with their numbers; ends with an `Err` where it is malformed.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<(u64, Field<'_>), Malformed>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = take_field(&mut rest).ok_or(Malformed);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

/// The message is cut off, or is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

fn take_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let tag = take_varint(rest)?;
    let number = tag >> 3;
    if number == 0 {
        return None;
    }
    let field = match tag & 7 {
        0 => Field::Varint(take_varint(rest)?),
        1 => take(rest, 8).map(|_| Field::Fixed)?,
        2 => {
            let length = usize::try_from(take_varint(rest)?).ok()?;
            Field::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Field::Fixed)?,
        // Groups are long gone.
        _ => return None,
    };
    Some((number, field))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, left) = rest.split_first()?;
        *rest = left;
        // The tenth byte has room for one bit; what is above it is dropped, as others do.
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn malformed_messages_end_with_an_error() {
        let cases: [&[u8]; 9] = [
            &[0x08],                                                      // no value
            &[0x08, 0x80],                                                // a varint cut off
            &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], // a varint too long
            &[0x0A, 5, 1],                                                // bytes cut off
            &[0x0A, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],      // bytes without end
            &[0x09, 1, 2, 3],                                             // 64 bits cut off
            &[0x0D, 1, 2, 3],                                             // 32 bits cut off
            &[0x0B],                                                      // a group
            &[0x00, 1],                                                   // the field 0
        ];
        for message in cases {
            assert_eq!(fields(message).last(), Some(Err(Malformed)), "{message:?}");
        }
    }

    #[test]
    fn fixed_fields_are_passed_over() {
        let message = [0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x15, 0, 0, 0, 0, 0x18, 7];
        let read: Result<Vec<_>, _> = fields(&message).collect();
        assert_eq!(
            read,
            Ok(vec![
                (1, Field::Fixed),
                (2, Field::Fixed),
                (3, Field::Varint(7))
            ])
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in 1_u8..16, varint in 1_u64.., bytes: Vec<u8>) {
            let mut message = Vec::new();
            put_varint(&mut message, number, varint);
            put_bytes(&mut message, number, &bytes);
            let read: Result<Vec<_>, _> = fields(&message).collect();
            let number = u64::from(number);
            prop_assert_eq!(read, Ok(vec![
                (number, Field::Varint(varint)),
                (number, Field::Bytes(&bytes)),
            ]));
        }

        #[test]
        fn no_bytes_are_a_panic(bytes: Vec<u8>) {
            prop_assert!(fields(&bytes).count() <= bytes.len());
        }
    }
}
