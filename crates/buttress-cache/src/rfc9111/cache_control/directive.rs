use http::{HeaderMap, header::CACHE_CONTROL};

use super::super::list::elements;

/// The greatest delta of seconds: where more is said, this is meant (RFC 9111 §1.2.2).
const MOST: u32 = 1 << 31;

/// One directive, as it was written.
pub(super) struct Directive<'a> {
    name: &'a [u8],
    /// What follows the `=`; quotes are still on it.
    argument: Option<&'a [u8]>,
}

/// All directives of all Cache-Control lines, in their order.
pub(super) fn directives(headers: &HeaderMap) -> impl Iterator<Item = Directive<'_>> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .flat_map(|line| elements(line.as_bytes()))
        .map(Directive::of)
}

impl<'a> Directive<'a> {
    fn of(element: &'a [u8]) -> Self {
        let mut halves = element.splitn(2, |byte| *byte == b'=');
        Self {
            name: halves.next().unwrap_or_default(),
            argument: halves.next(),
        }
    }

    /// The name without the whitespace that the grammar does not allow before the `=`: a `no-store =x` is heeded all
    /// the same.
    pub(super) fn name(&self) -> &'a [u8] {
        self.name.trim_ascii_end()
    }

    /// Whether it is written as the grammar wants a directive without an argument. What *permits* something must be.
    pub(super) fn is_bare(&self) -> bool {
        self.argument.is_none()
    }

    /// The argument in seconds; `None` where there is none, or it is none.
    pub(super) fn seconds(&self) -> Option<u32> {
        if self.name().len() != self.name.len() {
            return None;
        }
        match self.argument? {
            [b'"', quoted @ .., b'"'] => delta_seconds(quoted),
            token => delta_seconds(token),
        }
    }
}

/// `1*DIGIT`, clamped at 2³¹.
pub(in super::super) fn delta_seconds(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0, |seconds: u32, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(seconds.saturating_mul(10).saturating_add(digit).min(MOST))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_is_digits_and_nothing_else() {
        assert_eq!(delta_seconds(b"0"), Some(0));
        assert_eq!(delta_seconds(b"003600"), Some(3600));
        assert_eq!(delta_seconds(b"2147483647"), Some(2_147_483_647));
        for much in ["2147483648", "2147483649", "99999999999", "4294967297"] {
            assert_eq!(delta_seconds(much.as_bytes()), Some(MOST), "{much}");
        }
        assert_eq!(delta_seconds("9".repeat(10_000).as_bytes()), Some(MOST));
        for none in [
            "", "-1", "+1", "1.0", "1a", "a1", " 1", "1 ", "'1'", "\u{0661}", "1;x", "1,0",
        ] {
            assert_eq!(delta_seconds(none.as_bytes()), None, "{none}");
        }
    }
}
