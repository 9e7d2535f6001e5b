//! Whose circuit it is.

use buttress_core::{ExtractKey, KeyWriter, MissingKey};
use buttress_http::Head;
use http::{HeaderName, header::HOST};

/// One circuit for each upstream: the authority (host and port) of the request's target, else its `Host`.
/// Compared without case.
///
/// ```
/// use std::time::Duration;
/// use buttress_circuit_breaker::{CircuitBreakerLayer, Trip, by_authority};
///
/// let layer = CircuitBreakerLayer::http(Trip::over_time(Duration::from_secs(10)))
///     .key(by_authority)
///     .max_keys(1_000)
///     .build()?;
/// # let _ = layer;
/// # Ok::<(), buttress_circuit_breaker::ConfigError>(())
/// ```
///
/// # Errors
///
/// [`MissingKey`] where the request names no host.
pub fn by_authority(head: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
    let target = head.uri().authority().map(|authority| authority.as_str());
    let host = || head.headers().get(HOST)?.to_str().ok();
    let authority = target
        .or_else(host)
        .ok_or(MissingKey::new("the request names no host"))?;
    if authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
        key.text(&authority.to_ascii_lowercase());
    } else {
        key.text(authority);
    }
    Ok(())
}

/// One circuit for each value of a header field, such as a tenant's or a shard's.
pub fn by_header(name: HeaderName) -> impl ExtractKey<Head> {
    move |head: &Head, key: &mut KeyWriter<'_>| {
        let value = head.headers().get(&name);
        key.bytes(
            value
                .ok_or(MissingKey::new(
                    "the request lacks the header field of the key",
                ))?
                .as_bytes(),
        );
        Ok(())
    }
}
