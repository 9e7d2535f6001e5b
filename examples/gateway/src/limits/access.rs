use buttress_http::{ClientIp, Head};
use buttress_rate_limit::Access;

use crate::config::LimitsConfig;

/// Who passes unlimited, and who does not pass.
///
/// Whose address is not known is on no list; the limit by address refuses it then.
pub(super) fn rule(
    client: ClientIp,
    limits: &LimitsConfig,
) -> impl Fn(&Head) -> Access + Send + Sync + 'static {
    let (allow, deny) = (limits.allow.clone(), limits.deny.clone());
    move |head| match client.of(head) {
        Ok(ip) if deny.iter().any(|network| network.contains(ip)) => Access::Deny,
        Ok(ip) if allow.iter().any(|network| network.contains(ip)) => Access::Allow,
        _ => Access::Limit,
    }
}
