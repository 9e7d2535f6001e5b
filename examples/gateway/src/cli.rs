//! The command line: a file, and flags that override it.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

use crate::config::{self, Config, ConfigFileError, UpstreamUrl, Violation};

const SIGNALS: &str = "\
SIGHUP reads the file again. Ctrl-C or SIGTERM lets what is in flight finish, and a second one cuts it off.
Every key of the file, with its default: examples/gateway/gateway.toml";

/// A reverse proxy that limits, fails over and breaks circuits.
#[derive(Clone, Debug, Default, Parser)]
#[command(version, after_help = SIGNALS)]
pub struct Cli {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,

    /// The upstream, as http://127.0.0.1:3000; several in order of preference [default: a small one of its own]
    #[arg(long, value_name = "URL")]
    pub upstream: Vec<UpstreamUrl>,

    /// Where operators look, at /-/metrics and /-/state; port 0 takes a free one [default: 127.0.0.1:0]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<SocketAddr>,

    /// A configuration in TOML; flags override it. Without one there are a limit by address, retries and circuit breakers, and
    /// with one what stands in it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Cli {
    /// What file and flags say together.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is wrong.
    pub fn to_config(&self) -> Result<Config, ConfigFileError> {
        let mut config = match &self.config {
            Some(path) => config::load(path)?,
            None => Config::default(),
        };
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        if !self.upstream.is_empty() {
            config.upstream = None;
            config.upstreams = self.upstream.iter().cloned().map(Into::into).collect();
        }
        if let Some(admin) = self.admin {
            config.admin.enabled = true;
            config.admin.listen = admin;
        }
        Ok(config)
    }

    /// What is wrong, with the file and the line in which it stands, if it does not come from a flag.
    #[must_use]
    pub fn explain(&self, violation: &Violation) -> String {
        let flags = [
            ("listen", self.listen.is_some()),
            ("upstream", !self.upstream.is_empty()),
            ("admin", self.admin.is_some()),
        ];
        let is_a_flags = flags
            .iter()
            .any(|(field, given)| *given && violation.field.starts_with(field));
        match &self.config {
            Some(path) if !is_a_flags => config::located(violation, path).to_string(),
            _ => violation.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_flag_says_stands_in_no_file() {
        let args = ["gateway", "--config", "gateway.toml", "--listen", "[::1]:0"];
        let cli = Cli::try_parse_from(args).unwrap();
        let explained = |field| cli.explain(&Violation::new(field, "wrong"));
        assert_eq!(explained("listen"), "listen: wrong");
        assert_eq!(
            explained("call_log.path"),
            "gateway.toml: call_log.path: wrong"
        );
    }

    #[test]
    fn flags_override_defaults() {
        let cli =
            Cli::try_parse_from(["gateway", "--listen", "[::1]:0", "--upstream", "http://a:1"]);
        let config = cli.unwrap().to_config().unwrap();
        assert_eq!(config.listen.to_string(), "[::1]:0");
        let [upstream] = &config.upstreams()[..] else {
            panic!("one upstream");
        };
        assert_eq!(upstream.url.to_string(), "http://a:1");
    }

    #[test]
    fn an_address_for_operators_switches_theirs_on() {
        let file = std::env::temp_dir().join(format!("gateway-admin-{}.toml", std::process::id()));
        std::fs::write(&file, "admin.enabled = false").unwrap();
        let given = |flags: &[&str]| {
            let config = ["gateway", "--config", file.to_str().unwrap()];
            let cli = Cli::try_parse_from(config.iter().chain(flags)).unwrap();
            cli.to_config().unwrap().admin.enabled
        };
        assert!(!given(&[]));
        assert!(given(&["--admin", "127.0.0.1:0"]));
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_flag_that_cannot_be_meant_is_refused() {
        for (flag, value, reason) in [
            ("--listen", "localhost", "invalid socket address"),
            ("--upstream", "ftp://a", "`https://`"),
        ] {
            let error = Cli::try_parse_from(["gateway", flag, value]).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
