//! A state of several words in one, for a table that has it lie beside its owner.

use buttress_core::Tick;

use super::{Algorithm, Kind, by_request::ByRequest, sliding_log, sliding_window};
use crate::{Decision, Quota};

/// How the states of a table are summarized: each in a word on which most requests are decided and to which they are
/// charged, while the state itself is neither read nor written.
///
/// A summary of 0 is none: the state tells all. Any other is the one that counts, until it is [written
/// back](Self::write_back).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Summaries {
    /// Those of a [`SlidingWindow`](super::SlidingWindow).
    Window(sliding_window::Packing),
    /// Those of a [`SlidingLog`](super::SlidingLog).
    Log,
}

impl Summaries {
    /// Those of a limit whose first quota is this; `None` where its algorithm has none.
    pub(crate) fn of(kind: &Kind, quota: &Quota) -> Option<Self> {
        match kind {
            Kind::SlidingWindow(_) => Some(Self::Window(sliding_window::Packing::of(quota))),
            Kind::SlidingLog(_) => Some(Self::Log),
            _ => None,
        }
    }

    /// Makes the state what its summary says.
    #[inline]
    pub(crate) fn write_back(self, summary: u64, state: &mut [u64]) {
        match self {
            Self::Window(packing) => packing.write_back(summary, state),
            Self::Log => sliding_log::write_back(summary, state),
        }
    }
}

/// An algorithm of several words, of which some can be summarized.
pub(crate) trait Summarize: Algorithm {
    /// [Takes](Algorithm::take) from a summary, if it alone tells enough and the request is admitted: the decision, and the
    /// next summary.
    #[inline(always)]
    fn take_from_summary(
        &self,
        summaries: Summaries,
        quota: &Quota,
        summary: u64,
        now: Tick,
        cost: u64,
    ) -> Option<(Decision, u64)> {
        let _ = (summaries, quota, summary, now, cost);
        None
    }

    /// The summary of a state; 0 where it has none.
    #[inline]
    fn summary(&self, summaries: Summaries, quota: &Quota, state: &[u64]) -> u64 {
        let _ = (summaries, quota, state);
        0
    }
}

impl Summarize for ByRequest {}
impl Summarize for dyn Algorithm {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{SlidingLog, SlidingWindow};

    const SECOND: u64 = 1_000_000_000;

    /// As a table has it: decided on the summary if that is enough, and else on the state, which is summarized then.
    struct Summarized<'a, A> {
        algorithm: &'a A,
        summaries: Summaries,
        summary: u64,
        state: Vec<u64>,
    }

    impl<'a, A: Summarize> Summarized<'a, A> {
        fn new(algorithm: &'a A, kind: &Kind, quota: &Quota) -> Self {
            Self {
                algorithm,
                summaries: Summaries::of(kind, quota).unwrap(),
                summary: 0,
                state: vec![0; algorithm.words()],
            }
        }

        fn take(&mut self, quota: &Quota, now: Tick, cost: u64) -> Decision {
            let by_summary =
                self.algorithm
                    .take_from_summary(self.summaries, quota, self.summary, now, cost);
            if let Some((decision, next)) = by_summary {
                self.summary = next;
                return decision;
            }
            self.write_back();
            let decision = self.algorithm.take(quota, &mut self.state, now, cost);
            self.summary = self.algorithm.summary(self.summaries, quota, &self.state);
            decision
        }

        fn write_back(&mut self) {
            if self.summary != 0 {
                self.summaries.write_back(self.summary, &mut self.state);
            }
            self.summary = 0;
        }
    }

    /// Time goes on, or a little back, by spans of all sizes, or to where a sub-window or a period ends; what is asked for costs
    /// little, nothing or too much.
    fn steps() -> impl Strategy<Value = Vec<(i64, i64)>> {
        let span = prop_oneof![
            Just(0),
            -(SECOND as i64)..0,
            0..SECOND as i64 / 20,
            0..3 * SECOND as i64
        ];
        let even = (-2..25_i64).prop_map(|twentieths| twentieths * (SECOND as i64 / 20));
        let cost = || prop_oneof![Just(1), -3..12_i64];
        prop_oneof![
            prop::collection::vec((span, cost()), 1..200),
            prop::collection::vec((even, cost()), 1..200),
        ]
    }

    fn agrees<A: Summarize + Clone>(
        algorithm: A,
        quota: &str,
        steps: Vec<(i64, i64)>,
    ) -> Result<(), TestCaseError> {
        let quota: Quota = quota.parse().unwrap();
        let kind = Kind::of(algorithm.clone());
        let mut summarized = Summarized::new(&algorithm, &kind, &quota);
        let (mut plain, mut now) = (vec![0; algorithm.words()], 5 * SECOND);
        for (span, cost) in steps {
            now = now.saturating_add_signed(span);
            let now = Tick::from_nanos(now);
            if let Ok(cost) = u64::try_from(cost) {
                let expected = algorithm.take(&quota, &mut plain, now, cost);
                prop_assert_eq!(summarized.take(&quota, now, cost), expected);
            } else {
                algorithm.charge(&quota, &mut plain, now, cost);
                summarized.write_back();
                algorithm.charge(&quota, &mut summarized.state, now, cost);
            }
        }
        summarized.write_back();
        prop_assert_eq!(summarized.state, plain);
        Ok(())
    }

    proptest! {
        #[test]
        fn a_window_decides_by_its_summary_as_by_its_state(steps in steps(), sub_windows in 1..12_usize) {
            agrees(SlidingWindow::of_sub_windows(sub_windows), "20/s", steps)?;
        }

        #[test]
        fn so_does_a_log(steps in steps(), length in 10..12_usize) {
            agrees(SlidingLog::for_counts_up_to(length), "10/s", steps)?;
        }
    }

    /// Else nothing is gained.
    #[test]
    fn what_is_usual_leaves_the_state_alone() {
        let (now, later) = (Tick::from_nanos(SECOND), Tick::from_nanos(SECOND + 9));
        let window = SlidingWindow::of_sub_windows(10);
        let quota = "20/s".parse().unwrap();
        let mut summarized = Summarized::new(&window, &Kind::of(window), &quota);
        let _ = summarized.take(&quota, now, 1);
        let state = summarized.state.clone();
        let second = summarized.take(&quota, later, 2);
        assert_eq!((second.remaining(), &summarized.state), (17, &state));

        let (log, quota) = (SlidingLog::for_counts_up_to(4), "4/s".parse().unwrap());
        let mut summarized = Summarized::new(&log, &Kind::of(log), &quota);
        let _ = summarized.take(&quota, now, 1);
        let state = summarized.state.clone();
        let much_later = Tick::from_nanos(2 * SECOND);
        let second = summarized.take(&quota, much_later, 1);
        assert_eq!((second.remaining(), &summarized.state), (3, &state));
    }

    /// It would be taken for the first sub-window, or for a log of time zero.
    #[test]
    fn what_was_never_seen_is_not_summarized() {
        let quota = "20/s".parse().unwrap();
        let window = SlidingWindow::of_sub_windows(10);
        let mut summarized = Summarized::new(&window, &Kind::of(window), &quota);
        let _ = summarized.take(&quota, Tick::ZERO, 0);
        assert_eq!(summarized.summary, 0);
        let log = SlidingLog::for_counts_up_to(20);
        let mut summarized = Summarized::new(&log, &Kind::of(log), &quota);
        let _ = summarized.take(&quota, Tick::ZERO, 0);
        assert_eq!(summarized.summary, 0);
    }

    /// Its sub-windows begin elsewhere.
    #[test]
    fn what_was_written_under_another_quota_is_not_summarized() {
        let window = SlidingWindow::of_sub_windows(10);
        let (quota, other) = ("20/s".parse().unwrap(), "21/s".parse().unwrap());
        let longer = Quota::per(20, std::time::Duration::from_millis(1_001))
            .build()
            .unwrap();
        let summaries = Summaries::of(&Kind::of(window), &quota).unwrap();
        for (written, is_summarized) in [(quota, true), (other, true), (longer, false)] {
            let mut state = vec![0; window.words()];
            let _ = window.take(&written, &mut state, Tick::from_nanos(7 * SECOND), 1);
            let summary = window.summary(summaries, &quota, &state);
            assert_eq!(summary != 0, is_summarized, "{written:?}");
        }
    }

    /// At the end of all ticks, with the longest of periods and the most sub-windows.
    #[test]
    fn what_does_not_fit_is_not_summarized() {
        for (quota, now) in [("20/s", Tick::MAX), ("1/d", Tick::MAX)] {
            let (window, quota): (_, Quota) =
                (SlidingWindow::of_sub_windows(60), quota.parse().unwrap());
            let mut summarized = Summarized::new(&window, &Kind::of(window), &quota);
            let _ = summarized.take(&quota, now, 1);
            assert_eq!(summarized.summary, 0);
            let again = summarized.take(&quota, now, 1);
            assert_eq!(again.is_admitted(), quota.count() > 1);
        }
    }
}
