use buttress_http::{ClientIp, Head};
use buttress_rate_limit::Access;

use crate::{
    call::{Call, Decision},
    config::LimitsConfig,
};

/// Who passes unlimited, and who does not pass.
///
/// Whose address is not known is on no list; the limit by address refuses it then.
pub(super) fn at_the_door(
    client: ClientIp,
    limits: &LimitsConfig,
) -> impl Fn(&Head) -> Access + Send + Sync + 'static {
    let (allow, deny) = (limits.allow.clone(), limits.deny.clone());
    move |head| match client.of(head) {
        Ok(ip) if deny.iter().any(|network| network.contains(ip)) => {
            Call::note(|| Decision::of("access", "denied"));
            Access::Deny
        }
        Ok(ip) if allow.iter().any(|network| network.contains(ip)) => {
            Call::note(|| Decision::of("access", "allowed"));
            Access::Allow
        }
        _ => Access::Limit,
    }
}

/// Who passes unlimited there passes unlimited here, too.
pub(super) fn further_in(
    client: ClientIp,
    limits: &LimitsConfig,
) -> impl Fn(&Head) -> Access + Send + Sync + 'static {
    let allow = limits.allow.clone();
    move |head| match client.of(head) {
        Ok(ip) if allow.iter().any(|network| network.contains(ip)) => Access::Allow,
        _ => Access::Limit,
    }
}
