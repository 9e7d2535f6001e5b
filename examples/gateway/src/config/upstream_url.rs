use std::{error::Error, fmt, str::FromStr};

use http::{
    Uri,
    uri::{Authority, InvalidUri, PathAndQuery, Scheme},
};
use serde::{Deserialize, Deserializer, de};

use crate::path::climbs;

/// Where the upstream is: `http://host`, `http://host:port`, the same with `https`, or any of them with a path
/// that goes before every request's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    scheme: Scheme,
    authority: Authority,
    /// Without its last `/`, so empty for most.
    base_path: String,
}

impl UpstreamUrl {
    /// Host and port.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether it is reached over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The address of what the client asked for as `requested`.
    ///
    /// Its path and query are passed byte for byte; its authority is not: this is a gateway, and goes to
    /// one upstream whatever the client names.
    ///
    /// # Errors
    ///
    /// Where the two paths together are longer than a URI may be, or `..` in the client's would lead out of this one's.
    pub fn resolve(&self, requested: &Uri) -> Result<Uri, UnresolvedTarget> {
        if !self.base_path.is_empty() && climbs(requested.path()) {
            return Err(UnresolvedTarget::Climbs);
        }
        self.behind(requested).map_err(UnresolvedTarget::Uri)
    }

    fn behind(&self, requested: &Uri) -> Result<Uri, http::Error> {
        let path = match requested.path_and_query() {
            Some(path) if self.base_path.is_empty() || path == "*" => path.clone(),
            Some(path) => PathAndQuery::try_from(format!("{}{path}", self.base_path))?,
            None => PathAndQuery::from_static("/"),
        };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
    }
}

impl From<Authority> for UpstreamUrl {
    fn from(authority: Authority) -> Self {
        Self {
            scheme: Scheme::HTTP,
            authority,
            base_path: String::new(),
        }
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.base_path)
    }
}

impl FromStr for UpstreamUrl {
    type Err = InvalidUpstreamUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(InvalidUpstreamUrl::Uri)?;
        let scheme = match uri.scheme() {
            Some(scheme) if [Scheme::HTTP, Scheme::HTTPS].contains(scheme) => scheme.clone(),
            _ => return Err(InvalidUpstreamUrl::NotHttp),
        };
        let Some(authority) = uri.authority().cloned() else {
            return Err(InvalidUpstreamUrl::NotHttp);
        };
        if authority.as_str().contains('@') {
            return Err(InvalidUpstreamUrl::UserInfo);
        }
        if authority.host().is_empty() {
            return Err(InvalidUpstreamUrl::NotHttp);
        }
        // `http` keeps a port such as 99999 in the text and answers `None`; a client then takes 80.
        if authority.port_u16().is_none_or(|port| port == 0)
            && authority.as_str() != authority.host()
        {
            return Err(InvalidUpstreamUrl::Port);
        }
        if uri.query().is_some() {
            return Err(InvalidUpstreamUrl::Query);
        }
        Ok(Self {
            scheme,
            authority,
            base_path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl<'de> Deserialize<'de> for UpstreamUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|error| de::Error::custom(format_args!("`{text}` given: {error}")))
    }
}

/// Why what a client asks for has no address at an upstream.
#[derive(Debug)]
#[non_exhaustive]
pub enum UnresolvedTarget {
    /// Its path leads out of the upstream's own.
    Climbs,
    /// It makes no URI.
    Uri(http::Error),
}

impl fmt::Display for UnresolvedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Climbs => f.write_str("`..` leads out of the upstream's path"),
            Self::Uri(error) => write!(f, "{error}"),
        }
    }
}

impl Error for UnresolvedTarget {}

/// Why a text names no upstream.
#[derive(Debug)]
#[non_exhaustive]
pub enum InvalidUpstreamUrl {
    /// It is no URI.
    Uri(InvalidUri),
    /// It does not begin with `http://` or `https://` and a host.
    NotHttp,
    /// Its port is no number from 1 to 65535.
    Port,
    /// It has a user or a password in it.
    UserInfo,
    /// It has a query.
    Query,
}

impl fmt::Display for InvalidUpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(error) => write!(f, "{error}, expected such as `http://127.0.0.1:3000`"),
            Self::NotHttp => f.write_str("expected `http://` or `https://` and a host"),
            Self::Port => f.write_str("expected a port from 1 to 65535"),
            Self::UserInfo => f.write_str("expected no user or password before the host"),
            Self::Query => f.write_str("expected no query"),
        }
    }
}

impl Error for InvalidUpstreamUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_can_be_reached() {
        for (text, asked, resolved) in [
            ("http://a", "/x?y=%2F", "http://a/x?y=%2F"),
            ("http://a:1/", "/", "http://a:1/"),
            ("http://[::1]:1/base/", "/x", "http://[::1]:1/base/x"),
            ("https://a:1/base", "/x", "https://a:1/base/x"),
            ("http://a/base", "http://elsewhere/x", "http://a/base/x"),
        ] {
            let url: UpstreamUrl = text.parse().unwrap();
            assert_eq!(url.resolve(&asked.parse().unwrap()).unwrap(), resolved);
        }
    }

    #[test]
    fn nothing_leads_out_of_the_path() {
        let url: UpstreamUrl = "http://a/base".parse().unwrap();
        let resolved = |path: &str| url.resolve(&path.parse().unwrap());
        assert!(matches!(
            resolved("/x/../../y").unwrap_err(),
            UnresolvedTarget::Climbs
        ));
        assert_eq!(resolved("/x/../y").unwrap(), "http://a/base/x/../y");
        let whole: UpstreamUrl = "http://a".parse().unwrap();
        assert!(whole.resolve(&"/../y".parse().unwrap()).is_ok());
    }

    #[test]
    fn the_asterisk_stays_alone() {
        let url: UpstreamUrl = "http://a/base".parse().unwrap();
        let asked = Uri::builder().path_and_query("*").build().unwrap();
        assert_eq!(url.resolve(&asked).unwrap().path(), "*");
    }

    #[test]
    fn refuses_the_rest() {
        for (text, reason) in [
            ("ftp://a", "`https://`"),
            ("a:80", "`http://`"),
            ("/x", "`http://`"),
            ("http://a:99999", "a port"),
            ("http://a:0", "a port"),
            ("http://a:", "a port"),
            ("http://u:p@a", "no user"),
            ("http://a/?q", "no query"),
            ("http://a b", "such as"),
            ("", "such as"),
        ] {
            let error = text.parse::<UpstreamUrl>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
