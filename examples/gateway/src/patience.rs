//! How long is waited for whom, in a call: `timeouts`, an upstream's own, and those of a path.

use std::time::Duration;

use crate::{
    config::{Timeouts, UpstreamConfig},
    path::{Prefix, plain},
};

/// How long an attempt may take, and how long each side of it may stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Until the answer begins.
    pub(crate) response: Duration,
    /// How long the upstream may be silent in the middle of its answer, and both sides of a tunnel.
    pub(crate) upstream_idle: Option<Duration>,
    /// How long the client may pause in the middle of its request.
    pub(crate) client_idle: Option<Duration>,
}

/// What a path has in place of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OfPath {
    response: Option<Duration>,
    // Of each the outer one is whether it is said, and the inner one whether there is a bound.
    upstream_idle: Option<Option<Duration>>,
    client_idle: Option<Option<Duration>>,
}

/// The paths that have another one, the longest first.
#[derive(Debug)]
pub(crate) struct OfPaths(Vec<(Prefix, OfPath)>);

impl Patience {
    pub(crate) fn with(upstream: &UpstreamConfig, timeouts: &Timeouts) -> Self {
        Self {
            response: upstream.response.unwrap_or(timeouts.response),
            upstream_idle: upstream.idle.unwrap_or(timeouts.upstream_idle).bound(),
            client_idle: timeouts.client_idle.bound(),
        }
    }

    pub(crate) fn at(self, path: OfPath) -> Self {
        Self {
            response: path.response.unwrap_or(self.response),
            upstream_idle: path.upstream_idle.unwrap_or(self.upstream_idle),
            client_idle: path.client_idle.unwrap_or(self.client_idle),
        }
    }
}

impl OfPaths {
    /// Those of a configuration that was checked.
    pub(crate) fn of(timeouts: &Timeouts) -> Self {
        let routes = timeouts.routes.iter().filter_map(|route| {
            let prefix = Prefix::of(&route.path)?;
            let of_path = OfPath {
                response: route.response,
                upstream_idle: route.upstream_idle.map(|idle| idle.bound()),
                client_idle: route.client_idle.map(|idle| idle.bound()),
            };
            Some((prefix, of_path))
        });
        let mut routes: Vec<_> = routes.collect();
        routes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self(routes)
    }

    /// What holds at `path`.
    pub(crate) fn at(&self, path: &str) -> OfPath {
        if self.0.is_empty() {
            return OfPath::default();
        }
        let path = plain(path);
        let mut routes = self.0.iter();
        routes
            .find(|(prefix, _)| prefix.covers(&path))
            .map(|(_, of_path)| *of_path)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn a_path_comes_before_an_upstream_and_that_before_all() {
        let config = parse(
            "[[upstreams]]\nurl = 'http://a'\nresponse = '2s'\n\
             [timeouts]\nresponse = '1s'\nclient_idle = '3s'\n\
             [[timeouts.routes]]\npath = '/chat'\nclient_idle = 'off'\nupstream_idle = 'off'\n\
             [[timeouts.routes]]\npath = '/chat/slow'\nresponse = '1h'\n",
            "test".as_ref(),
        )
        .unwrap();
        let patience = Patience::with(&config.upstreams[0], &config.timeouts);
        let s = Duration::from_secs;
        let expected = Patience {
            response: s(2),
            upstream_idle: Some(s(300)),
            client_idle: Some(s(3)),
        };
        let paths = OfPaths::of(&config.timeouts);
        for (path, expected) in [
            ("/", expected),
            ("/chatter", expected),
            (
                "/chat/x",
                Patience {
                    upstream_idle: None,
                    client_idle: None,
                    ..expected
                },
            ),
            // It alone: nothing of the shorter one.
            (
                "/x/..//chat/%73low/1",
                Patience {
                    response: s(3_600),
                    ..expected
                },
            ),
        ] {
            assert_eq!(patience.at(paths.at(path)), expected, "{path}");
        }
    }
}
