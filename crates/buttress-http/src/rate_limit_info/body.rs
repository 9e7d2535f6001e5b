//! Looking through the beginning of a body for what the hints know.

use std::{borrow::Cow, fmt, time::Duration};

use serde_core::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{hints::BodyHints, verdict::Cause};

/// What the body said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The cause, and the row of the table that told it.
    meaning: Option<(usize, Cause)>,
    pub(super) wait: Option<Duration>,
}

impl Found {
    pub(super) fn cause(self) -> Option<Cause> {
        self.meaning.map(|(_, cause)| cause)
    }

    fn meaning(&mut self, heard: Option<(usize, Cause)>) {
        // The earliest row of the table, wherever in the body it was met.
        self.meaning = [self.meaning, heard]
            .into_iter()
            .flatten()
            .min_by_key(|(row, _)| *row);
    }

    fn wait(&mut self, heard: Option<Duration>) {
        self.wait = self.wait.max(heard);
    }
}

/// Looks through a body that may end anywhere: JSON is read until it breaks off, and what was met until
/// then counts. Anything else is searched as text.
pub(super) fn look_through(prefix: &[u8], hints: &BodyHints) -> Found {
    let mut found = Found::default();
    if matches!(prefix.trim_ascii_start().first(), Some(b'{' | b'[')) {
        let mut json = serde_json::Deserializer::from_slice(prefix);
        let node = Node {
            found: &mut found,
            hints,
            member: "",
        };
        // How deep it nests has a bound, which is serde_json's. Broken off is what it mostly is.
        let _ = node.deserialize(&mut json);
    } else {
        let text = String::from_utf8_lossy(prefix);
        found.meaning(hints.meaning_of_text(&text));
    }
    found
}

/// A value, under the name of the member that it, or the list that it is in, belongs to.
struct Node<'a> {
    found: &'a mut Found,
    hints: &'a BodyHints,
    member: &'a str,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.found.meaning(self.hints.meaning(self.member, text));
        self.found.wait(self.hints.wait(self.member, text));
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.found
            .wait(self.hints.wait_of_number(self.member, number));
        Ok(())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a wait of more than 2⁵³ is clamped anyway"
    )]
    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, _negative: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list
            .next_element_seed(Node {
                found: self.found,
                hints: self.hints,
                member: self.member,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(member) = members.next_key::<Cow<'de, str>>()? {
            members.next_value_seed(Node {
                found: self.found,
                hints: self.hints,
                member: &member,
            })?;
        }
        Ok(())
    }
}
