use serde::Deserialize;

/// What happens to a CORS preflight, which browsers send without an API key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preflight {
    /// It needs no API key, and is charged to the limit by address and to that of all, but to none by key or route.
    Pass,
    /// It is a request like any other.
    #[default]
    Limit,
}
