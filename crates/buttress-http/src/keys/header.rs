use std::{any::Any, fmt, sync::Arc};

use buttress_core::{ConfigError, ExtractKey, KeyWriter, MissingKey};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use super::Secret;
use crate::Head;

/// The value of a header, byte for byte.
#[derive(Clone)]
pub struct Header {
    line: Line,
}

impl Header {
    /// The header of this name.
    ///
    /// # Errors
    ///
    /// Where `name` is no header's name.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            line: Line::named(name)?,
        })
    }

    /// Its value, for who needs it for more than a key: to look up a quota by it.
    ///
    /// # Errors
    ///
    /// Where it is absent, or given twice.
    pub fn of<'a>(&self, head: &'a Head) -> Result<&'a HeaderValue, MissingKey> {
        self.line.of(head.headers())
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Header").field(&self.line.name).finish()
    }
}

impl ExtractKey<Head> for Header {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        key.bytes_as_text(self.of(from)?.as_bytes());
        Ok(())
    }

    fn is_same(&self, other: &dyn Any) -> bool {
        other
            .downcast_ref::<Self>()
            .is_some_and(|other| self.line.name == other.line.name)
    }
}

/// The value of a header that identifies its bearer and must not be shown.
#[derive(Clone)]
pub struct ApiKey {
    line: Line,
}

impl ApiKey {
    /// The header of this name, such as `x-api-key`.
    ///
    /// # Errors
    ///
    /// Where `name` is no header's name.
    pub fn in_header(name: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            line: Line::named(name)?,
        })
    }

    /// Its value, for who needs it for more than a key: to look up a tier by it.
    ///
    /// ```
    /// use buttress_core::View;
    /// use buttress_http::{Head, keys::ApiKey};
    ///
    /// let api_key = ApiKey::in_header("x-api-key")?;
    /// let request = http::Request::get("/").header("x-api-key", "live-123").body(())?;
    /// let secret = api_key.of(Head::of(&request))?;
    /// assert_eq!(secret.expose(), b"live-123");
    /// assert_eq!(format!("{secret:?}"), "***");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where it is absent, or given twice.
    pub fn of<'a>(&self, head: &'a Head) -> Result<Secret<'a>, MissingKey> {
        Ok(Secret::new(self.line.of(head.headers())?.as_bytes()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiKey").field(&self.line.name).finish()
    }
}

impl ExtractKey<Head> for ApiKey {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        key.secret(self.of(from)?.expose());
        Ok(())
    }

    fn is_same(&self, other: &dyn Any) -> bool {
        other
            .downcast_ref::<Self>()
            .is_some_and(|other| self.line.name == other.line.name)
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1), which must not be shown.
///
/// It is what the caller *says*: a limit by token stands inside of the layer that checks it, or an
/// attacker takes a new token for every request.
#[derive(Clone, Copy, Debug, Default)]
pub struct BearerToken;

impl BearerToken {
    /// The token, for who needs it for more than a key: to look up a tier by it.
    ///
    /// # Errors
    ///
    /// Where there is no `Authorization`, or two of them, or one of another scheme.
    pub fn of(head: &Head) -> Result<Secret<'_>, MissingKey> {
        const SCHEME: &[u8] = b"bearer";

        let mut lines = head.headers().get_all(AUTHORIZATION).iter();
        let credentials = match (lines.next(), lines.next()) {
            (Some(line), None) => line.as_bytes(),
            (None, _) => return Err(MissingKey::new("the header authorization is missing")),
            (Some(_), Some(_)) => {
                return Err(MissingKey::new("the header authorization is given twice"));
            }
        };
        credentials
            .split_at_checked(SCHEME.len())
            // The scheme is compared without case (RFC 9110 §11.1).
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
            .and_then(|(_, rest)| rest.strip_prefix(b" "))
            .map(<[u8]>::trim_ascii)
            .filter(|token| !token.is_empty())
            .map(Secret::new)
            .ok_or(MissingKey::new(
                "the authorization header holds no bearer token",
            ))
    }
}

impl ExtractKey<Head> for BearerToken {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        key.secret(Self::of(from)?.expose());
        Ok(())
    }

    fn is_same(&self, other: &dyn Any) -> bool {
        other.is::<Self>()
    }
}

/// A header that a request has one line of, and what is said where it has not: made once, since a flood of such
/// requests is to allocate nothing.
#[derive(Clone)]
struct Line {
    name: HeaderName,
    missing: Arc<str>,
    twice: Arc<str>,
}

impl Line {
    fn named(name: &str) -> Result<Self, ConfigError> {
        let name: HeaderName = name
            .parse()
            .map_err(|_| ConfigError::new("header", name, "the name of an HTTP header"))?;
        Ok(Self {
            missing: format!("the header {name} is missing").into(),
            twice: format!("the header {name} is given twice").into(),
            name,
        })
    }

    /// The one line. Of two, the service may read either: nobody knows whose request it is.
    fn of<'a>(&self, headers: &'a HeaderMap) -> Result<&'a HeaderValue, MissingKey> {
        let mut lines = headers.get_all(&self.name).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) => Ok(line),
            (None, _) => Err(MissingKey::because(Arc::clone(&self.missing))),
            (Some(_), Some(_)) => Err(MissingKey::because(Arc::clone(&self.twice))),
        }
    }
}
