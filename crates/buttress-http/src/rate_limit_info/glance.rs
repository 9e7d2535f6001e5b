use http::HeaderMap;

/// What the names of a response's fields promise: most responses say nothing of limits, and the tables
/// are long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Glance {
    pub(super) limits: bool,
    pub(super) waits: bool,
}

impl Glance {
    pub(super) fn at(headers: &HeaderMap) -> Self {
        headers.keys().fold(Self::default(), |seen, name| Self {
            limits: seen.limits || is_of_limits(name.as_str()),
            waits: seen.waits || is_of_waits(name.as_str()),
        })
    }

    pub(super) const fn is_promising(self) -> bool {
        self.limits || self.waits
    }
}

/// Each dialect has this word in every name.
pub(super) fn is_of_limits(name: &str) -> bool {
    name.contains("limit")
}

/// gRPC's status and its details, too.
pub(super) fn is_of_waits(name: &str) -> bool {
    name.contains("retry") || name.starts_with("grpc-")
}
