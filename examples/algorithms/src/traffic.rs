use std::time::Duration;

/// How long the traffic is watched.
pub(crate) const WATCHED: Duration = Duration::from_secs(5);

/// When the requests of one caller arrive: a burst right before the end of a second and another right after it, where
/// a fixed window shows its weakness; a lull; and a steady stream of twice what the quota allows.
pub(crate) fn bursty() -> Vec<Duration> {
    let millis = Duration::from_millis;
    let burst = |at: u64| (0..7).map(move |n| millis(at + 28 * n));
    let stream = (0..16).map(|n| millis(2_440 + 83 * n));
    burst(790).chain(burst(1_015)).chain(stream).collect()
}
