use http::{Uri, uri::Authority};
use serde::Deserialize;

use super::Violation;
use crate::path::Prefix;

/// How the gateway's own errors read. A gRPC caller is always answered in gRPC, and everybody else in
/// problem+json (RFC 9457), but for these.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct ErrorsConfig {
    /// At and below these paths a caller with `Authorization: Bearer` speaks `OpenAI`'s protocol.
    pub openai: Vec<String>,
    /// The origins of the pages that may read them in a browser, as browsers write them in `Origin`; `"*"` for all.
    pub cors: Vec<String>,
}

impl Default for ErrorsConfig {
    fn default() -> Self {
        Self {
            openai: vec!["/v1".to_owned()],
            cors: Vec::new(),
        }
    }
}

impl ErrorsConfig {
    /// Whether all of them are paths.
    pub(super) fn check(&self) -> Result<(), Violation> {
        for (index, path) in self.openai.iter().enumerate() {
            if Prefix::of(path).is_none() {
                return Err(Violation::new(
                    format!("errors.openai[{index}]"),
                    format_args!(
                        "`{path}` given, expected a path such as \"/v1\", decoded and without a slash at its end"
                    ),
                ));
            }
        }
        for (index, origin) in self.cors.iter().enumerate() {
            let wrong = |reason| Violation::new(format!("errors.cors[{index}]"), reason);
            if origin == "*" {
                // It allows less than a name does: no credentials.
                if self.cors.len() > 1 {
                    return Err(wrong(
                        "`*` given beside others, expected it alone".to_owned(),
                    ));
                }
            } else if !is_origin(origin) {
                return Err(wrong(format!(
                    "`{origin}` given, expected \"*\", or an origin as browsers write it: \"https://app.example\", in \
                     small letters, without a path, with a port only where it is not the usual one"
                )));
            }
        }
        Ok(())
    }
}

/// Whether a browser could say that it is its page's (RFC 6454 §6.2).
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let usual = match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        // Those of extensions and of apps.
        Some(_) => 0,
        None => return false,
    };
    let Some(authority) = uri.authority().map(Authority::as_str) else {
        return false;
    };
    let (scheme, _) = text.split_once("://").unwrap_or_default();
    format!("{scheme}://{authority}") == text
        && uri.host().is_some_and(|host| !host.is_empty())
        && authority.chars().all(is_of_an_authority)
        && !authority.ends_with(':')
        && uri.port_u16() != Some(usual)
        && !text.contains(|character: char| character.is_ascii_uppercase())
}

/// Whether a browser writes it there: no one's name, and no asterisk, which no page's origin has.
const fn is_of_an_authority(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_' | ':' | '[' | ']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_write() {
        for (text, expected) in [
            ("https://app.example", true),
            ("http://localhost:3000", true),
            ("https://[2001:db8::1]:8443", true),
            ("chrome-extension://abcdefghijklmnop", true),
            ("https://app.example:80", true),
            ("http://app.example:80", false),
            ("https://app.example:443", false),
            ("https://app.example:", false),
            ("https://app.example/", false),
            ("https://App.example", false),
            ("https://me@app.example", false),
            ("https://*.example", false),
            ("https://", false),
            ("https://:8443", false),
            ("app.example", false),
            ("null", false),
        ] {
            assert_eq!(is_origin(text), expected, "{text}");
        }
    }
}
