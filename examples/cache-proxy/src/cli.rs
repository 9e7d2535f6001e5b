use std::{net::SocketAddr, str::FromStr};

use clap::Parser;
use http::{Uri, uri::Authority};

/// A transparent caching reverse proxy.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// The upstream, as http://127.0.0.1:3000
    #[arg(long, value_name = "URL")]
    pub upstream: UpstreamUrl,

    /// Cache for one user, as a browser does, and not for many
    #[arg(long)]
    pub private: bool,

    /// How many bytes of memory the cache may take
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub capacity: usize,
}

/// Where the upstream is: `http://`, a host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl(Authority);

impl UpstreamUrl {
    pub(crate) const fn authority(&self) -> &Authority {
        &self.0
    }
}

impl FromStr for UpstreamUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
        let bare = uri.path() == "/" && uri.query().is_none();
        match (uri.scheme_str(), uri.authority()) {
            (Some("http"), Some(authority)) if bare && !authority.as_str().contains('@') => {
                Ok(Self(authority.clone()))
            }
            _ => Err("expected `http://` and a host, and no path".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_host_and_perhaps_a_port() {
        for text in ["http://a", "http://a:1/", "http://[::1]:1"] {
            assert!(text.parse::<UpstreamUrl>().is_ok(), "{text}");
        }
        for text in [
            "https://a",
            "a:80",
            "http://a/b",
            "http://a/?b",
            "http://u@a",
            "",
        ] {
            assert!(text.parse::<UpstreamUrl>().is_err(), "{text}");
        }
    }
}
