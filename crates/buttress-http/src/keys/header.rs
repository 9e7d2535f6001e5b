use buttress_core::{ConfigError, ExtractKey, KeyWriter, MissingKey};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use crate::Head;

/// The value of a header, byte for byte.
#[derive(Clone, Debug)]
pub struct Header {
    name: HeaderName,
}

impl Header {
    /// The header of this name.
    ///
    /// # Errors
    ///
    /// Where `name` is no header's name.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        Ok(Self { name: parse(name)? })
    }
}

impl ExtractKey<Head> for Header {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        key.bytes_as_text(only(from.headers(), &self.name)?.as_bytes());
        Ok(())
    }
}

/// The value of a header that identifies its bearer and must not be shown.
#[derive(Clone, Debug)]
pub struct ApiKey {
    name: HeaderName,
}

impl ApiKey {
    /// The header of this name, such as `x-api-key`.
    ///
    /// # Errors
    ///
    /// Where `name` is no header's name.
    pub fn in_header(name: &str) -> Result<Self, ConfigError> {
        Ok(Self { name: parse(name)? })
    }
}

impl ExtractKey<Head> for ApiKey {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        key.secret(only(from.headers(), &self.name)?.as_bytes());
        Ok(())
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1), which must not be shown.
///
/// It is what the caller *says*: a limit by token stands inside of the layer that checks it, or an
/// attacker takes a new token for every request.
#[derive(Clone, Copy, Debug, Default)]
pub struct BearerToken;

impl ExtractKey<Head> for BearerToken {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        const SCHEME: &[u8] = b"bearer";

        let credentials = only(from.headers(), &AUTHORIZATION)?.as_bytes();
        let token = credentials
            .split_at_checked(SCHEME.len())
            // The scheme is compared without case (RFC 9110 §11.1).
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
            .and_then(|(_, rest)| rest.strip_prefix(b" "))
            .map(<[u8]>::trim_ascii)
            .filter(|token| !token.is_empty())
            .ok_or(MissingKey::new(
                "the authorization header holds no bearer token",
            ))?;
        key.secret(token);
        Ok(())
    }
}

fn parse(name: &str) -> Result<HeaderName, ConfigError> {
    name.parse()
        .map_err(|_| ConfigError::new("header", name, "the name of an HTTP header"))
}

/// The one line of a header. Of two, the service may read either: nobody knows whose request it is.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a HeaderValue, MissingKey> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => Ok(line),
        (None, _) => Err(MissingKey::because(format!("the header {name} is missing"))),
        (Some(_), Some(_)) => Err(MissingKey::because(format!(
            "the header {name} is given twice"
        ))),
    }
}
