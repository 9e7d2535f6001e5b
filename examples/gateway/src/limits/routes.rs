//! The limits of single routes: one policy, however many there are.

use std::sync::{Arc, PoisonError, RwLock};

use buttress_core::{ExtractKey, KeyWriter, MissingKey};
use buttress_http::{ClientIp, Head};
use buttress_rate_limit::{OnMissingKey, Policy, Quota};

use super::{PER_ROUTE, PER_ROUTE_SHADOW, api_key::ApiKey};
use crate::{
    config::{RouteConfig, Violation, Who},
    path::{Prefix, plain},
    preflight,
};

/// The policy of the routes that are enforced, and that of those in shadow, each with whether it is the
/// latter. They are two, since a route that is only tried out must not hide a shorter one that is enforced.
pub(super) fn policies(
    configured: &[RouteConfig],
    client: &ClientIp,
    api_key: Option<&ApiKey>,
) -> Result<Vec<(bool, Policy, Routes)>, Violation> {
    let mut policies = Vec::new();
    for shadow in [false, true] {
        let mut routes = Vec::<Route>::new();
        let chosen = configured.iter().enumerate();
        for (index, config) in chosen.filter(|(_, config)| config.shadow == shadow) {
            let at = |field| format!("limits.routes[{index}].{field}");
            let route = Route::of(config, client, api_key)
                .map_err(|(field, reason)| Violation::new(at(field), reason))?;
            if routes.iter().any(|other| other.prefix == route.prefix) {
                let reason = format!("`{}` given twice, expected each path once", config.path);
                return Err(Violation::new(at("path"), reason));
            }
            routes.push(route);
        }
        // Any quota, since every request that has a route has that one's.
        if let Some(quota) = routes.first().map(Route::quota) {
            let routes = Routes::of(routes, shadow);
            let name = if shadow { PER_ROUTE_SHADOW } else { PER_ROUTE };
            policies.push((shadow, policy(name, quota, routes.clone()), routes));
        }
    }
    Ok(policies)
}

fn policy(name: &str, quota: Quota, routes: Routes) -> Policy {
    let quotas = routes.clone();
    Policy::new(name, quota)
        .key(routes)
        .missing_key(OnMissingKey::Exempt)
        .quota_by(move |head| quotas.of_request(head).map(|(_, route)| route.quota()))
}

/// The routes, the longest first.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    routes: Arc<[Route]>,
    shadow: bool,
}

#[derive(Debug)]
struct Route {
    prefix: Prefix,
    quota: RwLock<Quota>,
    who: Told,
}

/// Who is told apart.
#[derive(Debug)]
enum Told {
    Client(ClientIp),
    /// By the key, or else as a client: without a key nobody gets past the limit.
    Key(ApiKey, ClientIp),
    Nobody,
}

impl Routes {
    fn of(mut routes: Vec<Route>, shadow: bool) -> Self {
        routes.sort_by_key(|route| std::cmp::Reverse(route.prefix.len()));
        Self {
            routes: routes.into(),
            shadow,
        }
    }

    /// Changes the quotas of those routes that are configured.
    pub(super) fn set_quotas(&self, configured: &[RouteConfig]) {
        for config in configured
            .iter()
            .filter(|config| config.shadow == self.shadow)
        {
            let prefix = Prefix::of(&config.path);
            let mut routes = self.routes.iter();
            if let Some(route) = routes.find(|route| Some(&route.prefix) == prefix.as_ref()) {
                let quota = route.quota.write();
                *quota.unwrap_or_else(PoisonError::into_inner) = config.quota;
            }
        }
    }

    /// The route of a request, and its place among them.
    fn of_request(&self, head: &Head) -> Option<(usize, &Route)> {
        let path = plain(head.uri().path());
        self.routes
            .iter()
            .enumerate()
            .find(|(_, route)| route.prefix.covers(&path))
    }
}

impl Route {
    /// The error is the field's name, and the reason.
    fn of(
        config: &RouteConfig,
        client: &ClientIp,
        api_key: Option<&ApiKey>,
    ) -> Result<Self, (&'static str, String)> {
        let prefix = Prefix::of(&config.path).ok_or_else(|| {
            let expected =
                "a path such as \"/v1/completions\", decoded and without a slash at its end";
            (
                "path",
                format!("`{}` given, expected {expected}", config.path),
            )
        })?;
        let who = match (config.by, api_key) {
            (Who::Ip, _) => Told::Client(client.clone()),
            (Who::Key, Some(api_key)) => Told::Key(api_key.clone(), client.clone()),
            (Who::Key, None) => {
                let expected = "expected `[limits.per_key]` too, which says where the key is";
                return Err(("by", expected.to_owned()));
            }
            (Who::All, _) => Told::Nobody,
        };
        Ok(Self {
            prefix,
            quota: RwLock::new(config.quota),
            who,
        })
    }
}

impl Route {
    fn quota(&self) -> Quota {
        *self.quota.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ExtractKey<Head> for Routes {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        const NO_ROUTE: MissingKey = MissingKey::new("the path has no limit of its own");
        const PREFLIGHT: MissingKey = MissingKey::new("a preflight is charged to no route");

        if preflight::is_marked(from) {
            return Err(PREFLIGHT);
        }
        let (place, route) = self.of_request(from).ok_or(NO_ROUTE)?;
        key.unsigned(place as u128);
        match &route.who {
            Told::Client(client) => client.extract(from, key),
            Told::Key(api_key, client) => api_key
                .extract(from, key)
                .or_else(|_| client.extract(from, key)),
            Told::Nobody => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(paths: &[&str]) -> Routes {
        let quota = Quota::per_second(1).build().unwrap();
        let route = |path: &&str| Route {
            prefix: Prefix::of(path).unwrap(),
            quota: RwLock::new(quota),
            who: Told::Nobody,
        };
        Routes::of(paths.iter().map(route).collect(), false)
    }

    #[test]
    fn the_longest_holds_and_segments_are_whole() {
        let routes = routes(&["/v1", "/", "/v1/completions"]);
        for (path, expected) in [
            ("/v1/completions", 0),
            ("/v1/completions/", 0),
            ("/v1/completions/7?n=1", 0),
            ("/v1/x/..//%63ompletions", 0),
            ("/v1/completionsandmore", 1),
            ("/v1", 1),
            ("/v1/", 1),
            ("/v1?n=/v1/completions", 1),
            ("/v11", 2),
            ("/", 2),
            ("*", 2),
        ] {
            let request = http::Request::get(path).body(()).unwrap();
            let found = routes.of_request((&request).into()).map(|(place, _)| place);
            assert_eq!(found, Some(expected), "{path}");
        }
    }
}
