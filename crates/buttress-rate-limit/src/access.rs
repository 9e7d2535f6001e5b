/// Whether the limits apply to a request at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// They do.
    #[default]
    Limit,
    /// It passes, unlimited and uncharged: a health check, a CORS preflight, a caller on an allow list.
    Allow,
    /// It is refused, whatever the limits say: 403, or PERMISSION_DENIED in gRPC.
    Deny,
}
