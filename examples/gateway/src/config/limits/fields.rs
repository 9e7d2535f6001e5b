use buttress_http::FieldStyle;
use serde::Deserialize;

/// The shape of the fields that tell clients what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub enum Fields {
    /// `RateLimit-Policy` and `RateLimit`, as of draft-ietf-httpapi-ratelimit-headers-11.
    #[default]
    #[serde(rename = "draft-11")]
    Draft11,
    /// The same two, as of the editors' copy of August 2026.
    #[serde(rename = "editors-copy")]
    EditorsCopy,
    /// One dictionary, as of draft 07.
    #[serde(rename = "draft-07")]
    Draft07,
    /// Three fields of one number each, as of draft 03.
    #[serde(rename = "draft-03")]
    Draft03,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    #[serde(rename = "x-rate-limit")]
    XRateLimit,
    /// None of them; a refusal still has `Retry-After`.
    #[serde(rename = "none")]
    None,
}

impl Fields {
    /// As the layer wants it.
    #[must_use]
    pub const fn style(self) -> FieldStyle {
        match self {
            Self::Draft11 => FieldStyle::Draft11,
            Self::EditorsCopy => FieldStyle::EditorsCopy,
            Self::Draft07 => FieldStyle::Draft07,
            Self::Draft03 => FieldStyle::Draft03,
            Self::XRateLimit => FieldStyle::XRateLimit,
            Self::None => FieldStyle::None,
        }
    }
}
