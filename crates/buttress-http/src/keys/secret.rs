use std::fmt;

/// What identifies its bearer: a token, an API key. It is shown only to who asks for it by name.
#[derive(Clone, Copy)]
pub struct Secret<'a>(&'a [u8]);

impl<'a> Secret<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The secret itself, which is not to be logged. Compare it in constant time with what an attacker must not
    /// guess: or look it up by a hash.
    #[must_use]
    pub const fn expose(self) -> &'a [u8] {
        self.0
    }

    /// The same as text, where it is any.
    #[must_use]
    pub fn expose_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
