//! What the algorithms have in common that carry a state over to another quota.

/// `value` of `from` as the same share of `to`, rounded up: a change of quotas gives nothing back.
pub(super) fn scaled(value: u64, from: u64, to: u64) -> u64 {
    if from == to {
        return value;
    }
    let scaled = (u128::from(value) * u128::from(to)).div_ceil(u128::from(from.max(1)));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// A state in time, carried over: of `full.0` nanoseconds `used` are used, which become the same share of
/// `full.1`, and `most` at most.
///
/// Where nothing is used the state moves by one nanosecond, and is as full as before: one that is carried over
/// to another pace is never the one that it was, so that no charge under the old quota finds it unchanged.
pub(super) fn in_time(state: u64, used: u64, (from, to): (u64, u64), most: u64, now: u64) -> u64 {
    if from == to || state == 0 {
        return state;
    }
    match used {
        0 => state.min(now).saturating_add(1),
        _ => now.saturating_add(scaled(used, from, to).min(most)),
    }
}
