/// How the RateLimit fields are spelt. See the [module](super) for what each looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FieldStyle {
    /// draft-ietf-httpapi-ratelimit-headers-11: two lists of named policies.
    #[default]
    Draft11,

    /// The editors' copy of draft-ietf-httpapi-ratelimit-headers as of August 2026, which is to become the next draft:
    /// as draft 11, with `a` (available quota) and `w` (effective window) in place of `r` and `t`. Names are
    /// Strings, which all copies of it allow; the optional cost, partition keys and `RateLimit-Partition` are not sent.
    EditorsCopy,

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
