/// How the RateLimit fields are spelt. See the [module](super) for what each looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldStyle {
    /// draft-ietf-httpapi-ratelimit-headers-11: two lists of named policies.
    #[default]
    Draft11,

    /// draft-ietf-httpapi-ratelimit-headers-07: one dictionary, and the policies without names.
    Draft07,

    /// draft-ietf-httpapi-ratelimit-headers-03: three fields of one number each.
    Draft03,

    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`, in no specification. The reset is a delta of
    /// seconds; some services mean a date by it.
    XRateLimit,

    /// No fields.
    None,
}
