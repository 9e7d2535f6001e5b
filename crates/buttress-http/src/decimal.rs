use http::HeaderValue;

/// As many digits as `u64::MAX` has.
const DIGITS: usize = 20;

/// Text on the stack that is written from its end, as the digits of a number are found.
pub(crate) struct Backwards<const N: usize> {
    bytes: [u8; N],
    start: usize,
}

impl<const N: usize> Backwards<N> {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            start: N,
        }
    }

    /// Puts `text` before what is there; `None` where there is no room for it.
    #[inline]
    pub(crate) fn text(&mut self, text: &[u8]) -> Option<()> {
        let start = self.start.checked_sub(text.len())?;
        self.bytes.get_mut(start..self.start)?.copy_from_slice(text);
        self.start = start;
        Some(())
    }

    /// Puts a number before what is there, as [`text`](Self::text) does.
    #[inline]
    pub(crate) fn number(&mut self, mut number: u64) -> Option<()> {
        // Two digits at a time: a division by a hundred takes as long as one by ten.
        while number >= 10 {
            let pair = (number % 100) as u8;
            self.text(&[b'0' + pair / 10, b'0' + pair % 10])?;
            number /= 100;
            if number == 0 {
                return Some(());
            }
        }
        self.text(&[b'0' + number as u8])
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

/// A number in decimal digits, on the stack.
pub(crate) struct Decimal(Backwards<DIGITS>);

impl Decimal {
    pub(crate) fn of(number: u64) -> Self {
        let mut digits = Backwards::new();
        // There is room for every number.
        let _ = digits.number(number);
        Self(digits)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// As a header's value, in one allocation: `HeaderValue::from(u64)` takes two.
    pub(crate) fn into_header_value(self) -> HeaderValue {
        HeaderValue::from_bytes(self.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_of_the_range() {
        for number in [0, 1, 9, 10, 99, 100, 101, 999, 1000, 1001, u64::MAX] {
            assert_eq!(
                Decimal::of(number).as_bytes(),
                number.to_string().as_bytes()
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written_in_parts_that_do() {
        let mut text = Backwards::<4>::new();
        assert_eq!(text.number(42), Some(()));
        assert_eq!(text.text(b"abc"), None);
        assert_eq!(text.text(b"ab"), Some(()));
        assert_eq!(text.as_bytes(), b"ab42");
        assert_eq!(text.number(7), None);
    }

    proptest! {
        #[test]
        fn reads_as_the_number(number: u64) {
            let value = Decimal::of(number).into_header_value();
            prop_assert_eq!(value.to_str().unwrap().parse(), Ok(number));
        }
    }
}
