//! Comma-separated lists as they are met (RFC 9110 §5.6.1): empty elements, odd whitespace, quoted commas.

/// Without the whitespace around it.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Which bytes are letters, digits, or among `marks`.
pub(super) const fn byte_table(marks: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
}

/// The elements of one field line, trimmed, the empty ones left out. A comma within a quoted string separates nothing.
pub(super) fn elements(line: &[u8]) -> Elements<'_> {
    Elements {
        rest: line,
        unclosed: false,
    }
}

/// The same with the empty ones, which mean nothing in a list, but may in what is not known to be one.
pub(super) fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut elements, mut is_more) = (elements(line), true);
    std::iter::from_fn(move || {
        if !is_more {
            return None;
        }
        let piece;
        (piece, is_more) = elements.piece();
        Some(piece)
    })
}

#[derive(Clone, Debug)]
pub(super) struct Elements<'a> {
    rest: &'a [u8],
    /// A quote was met that nothing closes, so none of those that follow opens a string. Were it not for this, the
    /// rest of the line would be searched again for each of them.
    unclosed: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let (element, _) = self.piece();
            if !element.is_empty() {
                return Some(element);
            }
        }
        None
    }
}

impl<'a> Elements<'a> {
    /// The next one, which may be empty, and whether a comma follows it.
    fn piece(&mut self) -> (&'a [u8], bool) {
        let (piece, rest) = self.rest.split_at(self.end());
        self.rest = rest.get(1..).unwrap_or_default();
        (trim(piece), !rest.is_empty())
    }

    /// Where the first element ends.
    fn end(&mut self) -> usize {
        let mut at = 0;
        while let Some(byte) = self.rest.get(at) {
            match byte {
                b',' => return at,
                b'"' if !self.unclosed && self.opens(at) => {
                    match quoted_length(self.rest.get(at..)) {
                        Some(length) => at += length,
                        None => {
                            self.unclosed = true;
                            at += 1;
                        }
                    }
                }
                _ => at += 1,
            }
        }
        self.rest.len()
    }

    /// Whether a quote here begins a string: one within a word (`x"y`) does not, which is no grammar's, and might
    /// else hide what follows.
    fn opens(&self, at: usize) -> bool {
        match at.checked_sub(1).and_then(|before| self.rest.get(before)) {
            None => true,
            Some(before) => b" \t=;/:".contains(before),
        }
    }
}

/// The length of the quoted string that these bytes begin with, both quotes included.
fn quoted_length(bytes: Option<&[u8]>) -> Option<usize> {
    let bytes = bytes?;
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<&str> {
        elements(line.as_bytes())
            .map(|element| std::str::from_utf8(element).unwrap())
            .collect()
    }

    #[test]
    fn commas_separate_and_whitespace_is_nothing() {
        assert_eq!(split(" a ,\tb,,c , "), ["a", "b", "c"]);
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split(" , ,"), [""; 0]);
    }

    #[test]
    fn pieces_may_be_empty() {
        for (line, all) in [
            (" a ,, b", &["a", "", "b"][..]),
            (",a", &["", "a"]),
            ("a, ", &["a", ""]),
            ("", &[""]),
            ("\"a,\",b", &["\"a,\"", "b"]),
        ] {
            let found: Vec<_> = pieces(line.as_bytes()).collect();
            let all: Vec<_> = all.iter().map(|piece| piece.as_bytes()).collect();
            assert_eq!(found, all, "{line:?}");
        }
    }

    #[test]
    fn a_quoted_comma_separates_nothing() {
        assert_eq!(split(r#"a="x, y", b"#), [r#"a="x, y""#, "b"]);
        assert_eq!(split(r#"a="x\", y", b"#), [r#"a="x\", y""#, "b"]);
    }

    /// Else whoever forgets a quote would hide the `no-store` behind it.
    #[test]
    fn a_quote_that_nothing_closes_hides_nothing() {
        assert_eq!(split(r#"a="x, no-store"#), [r#"a="x"#, "no-store"]);
        assert_eq!(split(r#"a="x\", no-store"#), [r#"a="x\""#, "no-store"]);
        assert_eq!(split("\"\\"), ["\"\\"]);
    }

    #[test]
    fn a_quote_within_a_word_hides_nothing() {
        assert_eq!(
            split(r#"x"y, no-store, z""#),
            [r#"x"y"#, "no-store", r#"z""#]
        );
        assert_eq!(split(r#"W/"a,b", "c,d""#), [r#"W/"a,b""#, r#""c,d""#]);
    }

    #[test]
    fn the_work_is_linear() {
        let line = "=\"\\".repeat(1 << 20);
        assert_eq!(elements(line.as_bytes()).count(), 1);
    }
}
