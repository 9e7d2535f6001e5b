use http::HeaderValue;

/// As many digits as `u64::MAX` has.
const DIGITS: usize = 20;

/// A number in decimal digits, on the stack.
pub(crate) struct Decimal {
    digits: [u8; DIGITS],
    start: usize,
}

impl Decimal {
    pub(crate) fn of(mut number: u64) -> Self {
        let mut digits = [b'0'; DIGITS];
        let mut start = DIGITS;
        for digit in digits.iter_mut().rev() {
            // The remainder is one digit.
            *digit += (number % 10) as u8;
            number /= 10;
            start -= 1;
            if number == 0 {
                break;
            }
        }
        Self { digits, start }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
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
        for number in [0, 1, 9, 10, 99, 100, u64::MAX] {
            assert_eq!(
                Decimal::of(number).as_bytes(),
                number.to_string().as_bytes()
            );
        }
    }

    proptest! {
        #[test]
        fn reads_as_the_number(number: u64) {
            let value = Decimal::of(number).into_header_value();
            prop_assert_eq!(value.to_str().unwrap().parse(), Ok(number));
        }
    }
}
