//! The server's RateLimit fields: what a caller may still do, and for how long.
//!
//! | style | what is sent |
//! |---|---|
//! | [`FieldStyle::Draft11`] | `RateLimit-Policy: "burst";q=100;w=60` and `RateLimit: "burst";r=9;t=1`, all policies |
//! | [`FieldStyle::EditorsCopy`] | `RateLimit-Policy: "burst";q=100;w=60` and `RateLimit: "burst";a=9;w=1`, all policies |
//! | [`FieldStyle::Draft07`] | `RateLimit-Policy: 100;w=60` and `RateLimit: limit=100, remaining=9, reset=1` |
//! | [`FieldStyle::Draft03`] | `RateLimit-Limit: 100`, `RateLimit-Remaining: 9`, `RateLimit-Reset: 1` |
//! | [`FieldStyle::XRateLimit`] | the same three, each with `X-` before it |
//! | [`FieldStyle::None`] | nothing |
//!
//! Those that have room for one policy tell of the one with the fewest calls left; of equals, the one
//! with the longer reset. All resets are seconds from now, rounded up: with nothing remaining, until
//! something is (what `Retry-After` says), else until the quota is whole again.
//!
//! The static part is made once, when the policies are known; a response costs one allocation per value
//! that varies. Fields that are already there are replaced, since the innermost limiter is not the one
//! that the caller meets first; or they [go on](RateLimitFields::write_before) behind those that are written.

mod draft07;
mod item;
mod line;
mod named;
mod style;
#[cfg(test)]
mod tests;
mod three;

use buttress_core::ConfigError;
use http::HeaderMap;

use self::{draft07::Draft07, named::Named, three::Three};
pub use self::{
    item::{LimitItem, QuotaItem, QuotaUnit},
    style::FieldStyle,
};

/// Writes the fields of a fixed list of policies. Clones share what is static.
///
/// ```
/// use std::time::Duration;
/// use buttress_http::{FieldStyle, LimitItem, QuotaItem, RateLimitFields};
///
/// let policies = [QuotaItem::new("burst", 100, 60), QuotaItem::new("daily", 1_000, 86_400)];
/// let fields = RateLimitFields::build(FieldStyle::Draft11, &policies)?;
///
/// let mut headers = http::HeaderMap::new();
/// let burst = LimitItem::new(9, Duration::ZERO, Duration::from_millis(54_600));
/// let daily = LimitItem::new(0, Duration::from_millis(86_000), Duration::from_secs(86_400));
/// fields.write(&mut headers, &[burst, daily]);
/// assert_eq!(headers["ratelimit-policy"], r#""burst";q=100;w=60, "daily";q=1000;w=86400"#);
/// assert_eq!(headers["ratelimit"], r#""burst";r=9;t=55, "daily";r=0;t=86"#);
/// # Ok::<(), buttress_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RateLimitFields {
    dialect: Dialect,
}

#[derive(Clone, Debug)]
enum Dialect {
    Named(Named),
    Draft07(Draft07),
    Three(Three),
    Silent,
}

impl RateLimitFields {
    /// Prepares the fields of `policies`. Of none of them there is nothing to write.
    ///
    /// # Errors
    ///
    /// Where a name is empty, holds anything but printable ASCII, which is all that a String of RFC 9651
    /// §3.3.3 can hold, or is another policy's but for the case of its letters; and where a window is zero.
    pub fn build(style: FieldStyle, policies: &[QuotaItem<'_>]) -> Result<Self, ConfigError> {
        item::validate(policies)?;
        let dialect = match style {
            _ if policies.is_empty() => Dialect::Silent,
            FieldStyle::Draft11 => Dialect::Named(Named::build(&named::DRAFT_11, policies)),
            FieldStyle::EditorsCopy => Dialect::Named(Named::build(&named::EDITORS_COPY, policies)),
            FieldStyle::Draft07 => Dialect::Draft07(Draft07::build(policies)),
            FieldStyle::Draft03 => Dialect::Three(Three::build(&three::STANDARD, policies)),
            FieldStyle::XRateLimit => Dialect::Three(Three::build(&three::PREFIXED, policies)),
            FieldStyle::None => Dialect::Silent,
        };
        Ok(Self { dialect })
    }

    /// Writes the fields, in the place of any that `headers` holds under the same names. `items[i]`
    /// tells of the `i`-th policy; what has no counterpart is left out. Of no items nothing is written.
    pub fn write(&self, headers: &mut HeaderMap, items: &[LimitItem]) {
        if items.is_empty() {
            return;
        }
        match &self.dialect {
            Dialect::Named(dialect) => dialect.write(headers, items),
            Dialect::Draft07(dialect) => dialect.write(headers, items),
            Dialect::Three(dialect) => dialect.write(headers, items),
            Dialect::Silent => {}
        }
    }

    /// The same, before what a limiter further in has written in the same style: lists go on, in one line, since many
    /// readers look at no other; where there is room for one policy, the one that is there stays. What is no list of this
    /// style is replaced.
    ///
    /// ```
    /// use std::time::Duration;
    /// use buttress_http::{FieldStyle, LimitItem, QuotaItem, RateLimitFields};
    ///
    /// let left = [LimitItem::new(9, Duration::ZERO, Duration::from_secs(1))];
    /// let mut headers = http::HeaderMap::new();
    /// let tenant = RateLimitFields::build(FieldStyle::Draft11, &[QuotaItem::new("tenant", 50, 1)])?;
    /// tenant.write(&mut headers, &left);
    /// let address = RateLimitFields::build(FieldStyle::Draft11, &[QuotaItem::new("address", 10, 1)])?;
    /// address.write_before(&mut headers, &left);
    /// assert_eq!(headers["ratelimit"], r#""address";r=9;t=1, "tenant";r=9;t=1"#);
    /// # Ok::<(), buttress_core::ConfigError>(())
    /// ```
    pub fn write_before(&self, headers: &mut HeaderMap, items: &[LimitItem]) {
        if items.is_empty() {
            return;
        }
        match &self.dialect {
            Dialect::Named(dialect) => dialect.write_before(headers, items),
            Dialect::Draft07(dialect) => dialect.write_before(headers, items),
            Dialect::Three(dialect) => dialect.write_before(headers, items),
            Dialect::Silent => {}
        }
    }
}
