use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Quota;

impl Serialize for Quota {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Quota;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quota such as \"100/min burst 20\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Quota, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_text_in_a_file() {
        let quota = Quota::per_minute(100).burst(20).build().unwrap();
        let text = serde_json::to_string(&quota).unwrap();
        assert_eq!(text, r#""100/min burst 20""#);
        assert_eq!(serde_json::from_str::<Quota>(&text).unwrap(), quota);
    }

    #[test]
    fn an_error_names_the_value() {
        let error = serde_json::from_str::<Quota>(r#""0/s""#)
            .unwrap_err()
            .to_string();
        assert!(error.contains("count: `0` given"), "{error}");
        let error = serde_json::from_str::<Quota>("7").unwrap_err().to_string();
        assert!(error.contains("100/min burst 20"), "{error}");
    }
}
