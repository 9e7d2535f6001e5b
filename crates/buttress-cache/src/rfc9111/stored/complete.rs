use std::{error::Error, fmt};

use super::StoredHead;

impl StoredHead {
    /// Whether what came is what the head announced; to be asked at the body's end. `received` are the bytes that came,
    /// `clean` is whether the body ended as its protocol has it, and was not broken off.
    ///
    /// A part that ends sooner than its Content-Range says is kept as the part that came: Content-Range tells where it
    /// begins, the message how long it is.
    ///
    /// # Errors
    ///
    /// Says what is wrong. The response is then not to be stored.
    pub fn complete(self, received: u64, clean: bool) -> Result<Self, Incomplete> {
        if !clean {
            return Err(Incomplete::BrokenOff);
        }
        if self.content_length.is_some_and(|length| length != received) {
            return Err(Incomplete::Length);
        }
        match self.part {
            Some(part) if part.len() != received => {
                let part = part.shortened(received).ok_or(Incomplete::Length)?;
                let answered = self.answered.clone();
                Ok(Self {
                    answered,
                    ..self.with_part(part)
                })
            }
            _ => Ok(self),
        }
    }
}

/// Why a body is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Incomplete {
    /// It was broken off.
    BrokenOff,

    /// It is longer or shorter than its Content-Length or its Content-Range.
    Length,
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BrokenOff => "the body was broken off",
            Self::Length => "the body's length is not the announced one",
        })
    }
}

impl Error for Incomplete {}
