//! The command line: a file, and flags that override it.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

use crate::config::{self, Config, ConfigFileError, UpstreamUrl};

/// A reverse proxy that limits by client IP, API key and route.
#[derive(Clone, Debug, Default, Parser)]
#[command(version)]
pub struct Cli {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,

    /// The upstream, as http://127.0.0.1:3000 [default: a small one of its own]
    #[arg(long, value_name = "URL")]
    pub upstream: Option<UpstreamUrl>,

    /// A configuration in TOML; flags override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Cli {
    /// What file and flags say together.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is wrong.
    pub fn into_config(self) -> Result<Config, ConfigFileError> {
        let mut config = match self.config {
            Some(path) => config::load(&path)?,
            None => Config::default(),
        };
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        if let Some(upstream) = self.upstream {
            config.upstream = Some(upstream);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_override_defaults() {
        let cli =
            Cli::try_parse_from(["gateway", "--listen", "[::1]:0", "--upstream", "http://a:1"]);
        let config = cli.unwrap().into_config().unwrap();
        assert_eq!(config.listen.to_string(), "[::1]:0");
        assert_eq!(config.upstream.unwrap().to_string(), "http://a:1");
    }

    #[test]
    fn a_flag_that_cannot_be_meant_is_refused() {
        for (flag, value, reason) in [
            ("--listen", "localhost", "invalid socket address"),
            ("--upstream", "https://a", "TLS"),
        ] {
            let error = Cli::try_parse_from(["gateway", flag, value]).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
