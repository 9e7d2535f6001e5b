use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// After the last upstream was revived, for so long an answer may still tell of its death: circuits are open,
/// and then let only a few try.
const SETTLING: Duration = Duration::from_secs(4);

/// For so long it reads what came while it hung.
const READING: Duration = Duration::from_secs(1);

/// When upstreams died and were revived. All times are since the start.
#[derive(Debug, Default)]
pub(crate) struct Weather(Mutex<Vec<(Duration, Change)>>);

/// What happened to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Said before it is killed.
    Killed,
    /// Said after it listens again.
    Revived,
    /// Said before it hangs: it takes connections, and answers nothing.
    Hung,
    /// Said after it goes on.
    Resumed,
}

impl Weather {
    pub(crate) fn note(&self, at: Duration, change: Change) {
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changes.push((at, change));
    }

    /// Whether all upstreams were well all the time, and the gateway had time to see it.
    pub(crate) fn was_calm(&self, from: Duration, to: Duration) -> bool {
        let changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut down = 0_u32;
        let mut settled = Duration::ZERO;
        for (at, change) in changes.iter().filter(|(at, _)| *at <= to) {
            match change {
                Change::Killed | Change::Hung if *at >= from => return false,
                Change::Killed | Change::Hung => down += 1,
                Change::Revived | Change::Resumed => {
                    down = down.saturating_sub(1);
                    settled = *at + SETTLING;
                }
            }
        }
        down == 0 && settled <= from
    }

    /// Whether an upstream hung between these two, or had only just gone on.
    ///
    /// What its clients gave up meanwhile it reads all at once then, and a server of HTTP/2 may take that for an attack (rapid
    /// reset, CVE-2023-44487) and end the connection, with whatever else is on it.
    pub(crate) fn has_hung(&self, from: Duration, to: Duration) -> bool {
        let changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut hung, mut until) = (0_u32, None);
        for (at, change) in changes.iter().filter(|(at, _)| *at <= to) {
            match change {
                Change::Hung => hung += 1,
                Change::Resumed => {
                    hung = hung.saturating_sub(1);
                    until = Some(*at + READING);
                }
                Change::Killed | Change::Revived => {}
            }
        }
        hung > 0 || until.is_some_and(|until| until >= from)
    }

    /// Whether an upstream was killed between these two.
    pub(crate) fn has_killed(&self, from: Duration, to: Duration) -> bool {
        let changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changes
            .iter()
            .any(|(at, change)| *change == Change::Killed && (from..=to).contains(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_calm_when_all_are_well_and_were_for_a_while() {
        let weather = Weather::default();
        let s = Duration::from_secs;
        assert!(weather.was_calm(s(0), s(1)));
        weather.note(s(10), Change::Killed);
        weather.note(s(11), Change::Killed);
        weather.note(s(12), Change::Revived);
        weather.note(s(20), Change::Revived);
        for (from, to, is_calm) in [
            (0, 9, true),
            (0, 10, false),
            (10, 10, false),
            (15, 19, false),
            (20, 21, false),
            (23, 25, false),
            (24, 25, true),
        ] {
            assert_eq!(weather.was_calm(s(from), s(to)), is_calm, "{from} to {to}");
        }
    }

    #[test]
    fn who_hangs_is_not_well_and_breaks_nothing() {
        let weather = Weather::default();
        let s = Duration::from_secs;
        weather.note(s(10), Change::Hung);
        weather.note(s(12), Change::Resumed);
        assert!(!weather.was_calm(s(9), s(10)) && !weather.was_calm(s(11), s(11)));
        assert!(!weather.was_calm(s(15), s(16)) && weather.was_calm(s(16), s(17)));
        assert!(!weather.has_killed(s(0), s(20)));
        for (from, to, has) in [
            (0, 9, false),
            (0, 10, true),
            (11, 11, true),
            (13, 14, true),
            (14, 15, false),
        ] {
            assert_eq!(weather.has_hung(s(from), s(to)), has, "{from} to {to}");
        }
    }

    #[test]
    fn a_kill_is_within_when_it_is() {
        let weather = Weather::default();
        weather.note(Duration::from_secs(10), Change::Killed);
        weather.note(Duration::from_secs(11), Change::Revived);
        for (from, to, has) in [
            (9, 10, true),
            (10, 12, true),
            (11, 12, false),
            (0, 9, false),
        ] {
            let has_killed = weather.has_killed(Duration::from_secs(from), Duration::from_secs(to));
            assert_eq!(has_killed, has, "{from} to {to}");
        }
    }
}
