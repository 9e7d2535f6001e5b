//! What answers taught of the next ones to the same target: Varnish calls it "hit-for-miss".
//!
//! 1. Whoever asks for what others could not use either waits for nobody, and nobody waits for it.
//! 2. Whoever asks for what may not be stored goes straight to the inner service: there is no fetch that others
//!    could take part in, and nothing that would have to outlive who asked.
//! 3. Every answer is looked at all the same. One that may be stored is, and what was remembered is forgotten.
//!
//! Only answers to requests without demands of their own teach, and refusals do not; who comes with credentials
//! teaches others who do (see [`flight_key`](crate::key::flight_key)). So nobody can do more to others than
//! have them ask for themselves.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use buttress_core::Digest;
use http::StatusCode;

use crate::{
    Event,
    epochs::Epoch,
    event::NotStored,
    fetch::Plan,
    key::flight_keys,
    rfc9111::{self, Refusal, RequestHead, Reuse, StoredHead},
    shared::Shared,
    sync::{AtomicU64, Ordering},
};

/// How many keys are remembered. A power of two.
const SLOTS: usize = 4096;

/// Seconds are counted in 31 bits, of which a span has to leave half.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

const DEADLINE: u64 = (1 << 31) - 1;
const NOT_STORED: u64 = 1 << 31;

/// The keys whose last answer was of no use to others.
///
/// The memory has a fixed size and is lossy: a key that is forgotten costs those who ask for it the wait for one
/// head, and one that is taken for another costs one request its company.
pub(crate) struct HitForMiss {
    /// Half of the key's upper half, whether the answer was [`NOT_STORED`], and the second until which it counts.
    slots: Box<[AtomicU64]>,
    seconds: u64,
}

/// What is remembered of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// Its answer could be stored, and yet not be used for who asks next.
    NotForAll,
    /// Its answer could not be stored.
    NotStored,
}

impl HitForMiss {
    /// Each lesson counts for `span`, in whole seconds, of which a begun one counts.
    pub(crate) fn lasting(span: Duration) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            seconds: span.as_secs() + u64::from(span.subsec_nanos() > 0),
        }
    }

    /// What was learnt of `key`, if that still counts.
    #[inline]
    pub(crate) fn of(&self, key: Digest, now: SystemTime) -> Option<Lesson> {
        let word = self.slot(key).load(Ordering::Relaxed);
        if !is_of(word, key) {
            return None;
        }
        let left = word.wrapping_sub(seconds(now)) & DEADLINE;
        // A calendar that was set back must not make it last for longer.
        let counts = (1..=self.seconds).contains(&left);
        counts.then_some(match word & NOT_STORED {
            0 => Lesson::NotForAll,
            _ => Lesson::NotStored,
        })
    }

    pub(crate) fn learn(&self, key: Digest, lesson: Lesson, now: SystemTime) {
        let kind = match lesson {
            Lesson::NotForAll => 0,
            Lesson::NotStored => NOT_STORED,
        };
        let until = seconds(now).wrapping_add(self.seconds) & DEADLINE;
        let word = mark(key) | kind | until;
        self.slot(key).store(word, Ordering::Relaxed);
    }

    pub(crate) fn forget(&self, key: Digest) {
        self.forget_if(key, |_| true);
    }

    /// An answer of `key` could be stored.
    fn is_stored(&self, key: Digest) {
        self.forget_if(key, |word| word & NOT_STORED != 0);
    }

    pub(crate) fn forget_all(&self) {
        for slot in &self.slots {
            slot.store(0, Ordering::Relaxed);
        }
    }

    fn forget_if(&self, key: Digest, is_meant: impl FnOnce(u64) -> bool) {
        let slot = self.slot(key);
        let word = slot.load(Ordering::Relaxed);
        if is_of(word, key) && is_meant(word) {
            slot.store(0, Ordering::Relaxed);
        }
    }

    fn slot(&self, key: Digest) -> &AtomicU64 {
        // In bounds, since there are as many as the mask lets through.
        &self.slots[key.low() as usize & (SLOTS - 1)]
    }
}

/// By which a key is told from others that share its slot.
const fn mark(key: Digest) -> u64 {
    key.high() & !(NOT_STORED | DEADLINE)
}

const fn is_of(word: u64, key: Digest) -> bool {
    word & !(NOT_STORED | DEADLINE) == mark(key)
}

fn seconds(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs()
}

impl Shared {
    /// Whether a request goes straight to the inner service, since its answer is not going to be stored: it says so
    /// itself, or that is what was `learnt`. With something to validate it goes the way on which that is kept.
    pub(crate) fn passes(
        &self,
        request: &RequestHead<'_>,
        plan: &Plan,
        learnt: Option<Lesson>,
    ) -> bool {
        if plan.stored.is_some() {
            return false;
        }
        let is_hit = learnt == Some(Lesson::NotStored);
        if is_hit {
            self.tell(&Event::HitForMiss);
        }
        is_hit || request.directives().no_store
    }

    /// The answer to `request` could be stored, as `head`, or was a 304 that made it this. It is for all who ask if the
    /// same request would be answered by it, without asking the origin again.
    pub(crate) fn learn_stored(
        &self,
        epoch: &Epoch,
        request: &RequestHead<'_>,
        head: &StoredHead,
        now: SystemTime,
    ) {
        let for_all = matches!(
            rfc9111::reuse(&self.options, request, head, now),
            Reuse::Serve(_) | Reuse::ServeAndRevalidate
        );
        let key = self.flight_key(epoch.key(), request);
        if for_all {
            self.hit_for_miss.forget(key);
        } else {
            self.hit_for_miss.is_stored(key);
            self.learn_refused(epoch, request, Lesson::NotForAll, now);
        }
    }

    /// `key` was invalidated by hand: its origin may have been told to answer otherwise. An unsafe request tells
    /// nothing of that, and nobody shall make others wait for each other by sending some.
    pub(crate) fn unlearn(&self, key: Digest) {
        for key in flight_keys(key) {
            self.hit_for_miss.forget(key);
        }
    }

    /// The answer to `request` was not for all, or could not even be stored. One that was asked for before an
    /// invalidation teaches nothing.
    pub(crate) fn learn_refused(
        &self,
        epoch: &Epoch,
        request: &RequestHead<'_>,
        lesson: Lesson,
        now: SystemTime,
    ) {
        if request.is_plain() && !epoch.is_over() {
            let key = self.flight_key(epoch.key(), request);
            self.hit_for_miss.learn(key, lesson, now);
        }
    }
}

impl Lesson {
    /// What is learnt from an answer with this `status` that was not stored. `None` for a refusal (ours, or a 429 and its
    /// kin), which tells of whoever was refused, and nothing of the target.
    pub(crate) fn of(why: NotStored, status: StatusCode) -> Option<Self> {
        match why {
            NotStored::LocalRefusal | NotStored::Rules(Refusal::NeverStored) => None,
            // An origin that is well again may answer what can be stored: that is worth finishing for others.
            _ if status.is_server_error() => Some(Self::NotForAll),
            NotStored::Rules(_) | NotStored::Stream | NotStored::TooLarge => Some(Self::NotStored),
            // The next one may find room.
            _ => Some(Self::NotForAll),
        }
    }
}

impl fmt::Debug for HitForMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HitForMiss")
            .field("seconds", &self.seconds)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const KEY: Digest = Digest::from_u128(7 << 96 | 5);
    /// In the same slot.
    const OTHER: Digest = Digest::from_u128(8 << 96 | 5);

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_348_800 + seconds)
    }

    #[test]
    fn a_lesson_counts_for_its_span_and_is_of_its_key() {
        let table = HitForMiss::lasting(Duration::from_millis(59_001));
        assert_eq!(table.of(KEY, at(0)), None);
        for lesson in [Lesson::NotStored, Lesson::NotForAll] {
            table.learn(KEY, lesson, at(0));
            assert_eq!(table.of(KEY, at(59)), Some(lesson));
            assert_eq!(table.of(KEY, at(60)), None);
            assert_eq!(table.of(OTHER, at(0)), None);
            assert_eq!(table.of(Digest::from_u128(7 << 96 | 6), at(0)), None);
        }
    }

    #[test]
    fn who_comes_later_takes_the_slot() {
        let table = HitForMiss::lasting(Duration::from_secs(60));
        table.learn(KEY, Lesson::NotStored, at(0));
        table.learn(OTHER, Lesson::NotForAll, at(1));
        assert_eq!(table.of(KEY, at(1)), None);
        table.forget(KEY);
        assert_eq!(table.of(OTHER, at(1)), Some(Lesson::NotForAll));
        table.forget(OTHER);
        assert_eq!(table.of(OTHER, at(1)), None);
    }

    #[test]
    fn what_is_stored_but_for_one_remains() {
        let table = HitForMiss::lasting(Duration::from_secs(60));
        table.learn(KEY, Lesson::NotForAll, at(0));
        table.is_stored(KEY);
        assert_eq!(table.of(KEY, at(0)), Some(Lesson::NotForAll));
        table.learn(KEY, Lesson::NotStored, at(0));
        table.is_stored(KEY);
        assert_eq!(table.of(KEY, at(0)), None);
    }

    #[test]
    fn all_is_forgotten() {
        let table = HitForMiss::lasting(Duration::from_secs(60));
        table.learn(KEY, Lesson::NotStored, at(0));
        table.forget_all();
        assert_eq!(table.of(KEY, at(0)), None);
    }

    #[test]
    fn no_time_is_never() {
        let table = HitForMiss::lasting(Duration::ZERO);
        table.learn(KEY, Lesson::NotStored, at(0));
        assert_eq!(table.of(KEY, at(0)), None);
    }

    #[test]
    fn a_calendar_that_is_set_back_makes_nothing_last() {
        let table = HitForMiss::lasting(Duration::from_secs(60));
        table.learn(KEY, Lesson::NotStored, at(1_000));
        assert_eq!(table.of(KEY, at(0)), None);
    }

    /// The second of 2038 at which 31 bits are full, and the years after which they are full again.
    #[test]
    fn the_seconds_may_wrap_around() {
        let table = HitForMiss::lasting(LONGEST);
        let full = UNIX_EPOCH + Duration::from_secs(1 << 31);
        let (before, after) = (
            full - Duration::from_secs(10),
            full + Duration::from_secs(10),
        );
        table.learn(KEY, Lesson::NotStored, before);
        assert_eq!(table.of(KEY, before), Some(Lesson::NotStored));
        assert_eq!(table.of(KEY, after), Some(Lesson::NotStored));
        assert_eq!(table.of(KEY, before + LONGEST), None);
    }

    #[test]
    fn refusals_teach_nothing_and_what_depends_on_the_moment_little() {
        let of = |why, status| Lesson::of(why, StatusCode::from_u16(status).unwrap());
        let no_store = NotStored::Rules(Refusal::NoStore);
        assert_eq!(of(NotStored::LocalRefusal, 503), None);
        assert_eq!(of(NotStored::Rules(Refusal::NeverStored), 429), None);
        assert_eq!(of(no_store, 200), Some(Lesson::NotStored));
        assert_eq!(of(no_store, 404), Some(Lesson::NotStored));
        assert_eq!(of(no_store, 503), Some(Lesson::NotForAll));
        assert_eq!(of(NotStored::NoRoom, 200), Some(Lesson::NotForAll));
    }
}
