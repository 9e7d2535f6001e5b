use std::{fmt, net::SocketAddr};

use serde::{Deserializer, de};

/// An address to listen on, for serde's `deserialize_with`: a name is none, since which of its addresses would be meant?
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    deserializer.deserialize_str(Text)
}

const EXPECTED: &str = "an address and a port such as \"127.0.0.1:8080\"";

struct Text;

impl de::Visitor<'_> for Text {
    type Value = SocketAddr;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SocketAddr, E> {
        text.parse()
            .map_err(|_| E::custom(format_args!("`{text}` given, expected {EXPECTED}")))
    }
}
