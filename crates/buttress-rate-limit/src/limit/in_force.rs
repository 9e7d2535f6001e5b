use std::{collections::VecDeque, fmt};

use buttress_core::{ConfigError, Tick};

use crate::{
    Algorithm, Quota,
    algorithm::SKEW,
    quota::WORDS,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering, fence, unpoisoned},
};

/// How many quotas of a limit its states can be of, the one in force among them: what tells them apart is a
/// [`Tag`] of a byte.
const TAGS: usize = 256;

/// Which of a limit's quotas a state was written under: the last byte of the [revision](InForce::get).
pub(crate) type Tag = u8;

/// The quota that is in force, and the ones before it.
///
/// It is read for each request without a lock, and as good as for nothing as long as it never changed; else as
/// a sequence lock is: who reads while somebody writes asks again. Changing it touches no state: each is
/// [carried over](Algorithm::carry_over) when it is next looked at, through all changes since it was
/// written.
pub(crate) struct InForce {
    /// The first one.
    first: Quota,
    /// Twice the number of changes; odd while one is being written.
    version: AtomicU64,
    /// The one that is in force, where it is not the first.
    words: [AtomicU64; WORDS],
    /// The ones before it, from the oldest on. Locked by who changes the quota, and by who finds a state of an
    /// older one.
    past: Mutex<VecDeque<Past>>,
}

/// A quota that is no longer in force.
struct Past {
    quota: Quota,
    until: Tick,
    /// After this, a state written under it says nothing more.
    over_at: Tick,
}

impl InForce {
    pub(crate) fn new(quota: Quota) -> Self {
        Self {
            first: quota,
            version: AtomicU64::new(0),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            past: Mutex::new(VecDeque::new()),
        }
    }

    /// The quota, and its revision: how often it was changed before.
    #[inline]
    pub(crate) fn get(&self) -> (Quota, u64) {
        match self.version.load(Ordering::Acquire) {
            0 => (self.first, 0),
            version => self.get_changed(version),
        }
    }

    /// The one that it was built with: revision 0.
    #[inline]
    pub(crate) const fn first(&self) -> &Quota {
        &self.first
    }

    /// The one that it was built with, if that is the one in force.
    #[inline]
    pub(crate) fn unchanged(&self) -> Option<&Quota> {
        (self.version.load(Ordering::Acquire) == 0).then_some(&self.first)
    }

    /// How often it was changed.
    #[inline]
    pub(crate) fn revision(&self) -> u64 {
        self.version.load(Ordering::Acquire).div_ceil(2)
    }

    #[inline(never)]
    fn get_changed(&self, version: u64) -> (Quota, u64) {
        if version.is_multiple_of(2) {
            let words = self.read();
            fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) == version {
                return (Quota::from_words(words), version / 2);
            }
        }
        // Somebody is changing it, which is done under this lock.
        let _changing = self.past();
        let version = self.version.load(Ordering::Acquire);
        (Quota::from_words(self.read()), version / 2)
    }

    fn read(&self) -> [u64; WORDS] {
        std::array::from_fn(|n| {
            self.words
                .get(n)
                .map_or(0, |word| word.load(Ordering::Relaxed))
        })
    }

    /// Changes it at `now`.
    ///
    /// # Errors
    ///
    /// Where the algorithm does not support it, or where it was changed too often.
    pub(crate) fn change(
        &self,
        algorithm: &dyn Algorithm,
        to: Quota,
        now: Tick,
    ) -> Result<(), ConfigError> {
        algorithm.supports(&to)?;
        let mut past = self.past();
        let version = self.version.load(Ordering::Relaxed);
        let quota = match version {
            0 => self.first,
            _ => Quota::from_words(self.read()),
        };
        if quota == to {
            return Ok(());
        }
        // The next one's tag was that of the oldest, whose states must be over.
        if past.len() + 1 == TAGS {
            match past.front() {
                Some(oldest) if oldest.over_at > now => {
                    return Err(ConfigError::new(
                        "quota",
                        format!("{} per {:?}", to.count(), to.period()),
                        "at most 255 changes within the time in which a debt under the first of them comes back",
                    ));
                }
                _ => drop(past.pop_front()),
            }
        }
        past.push_back(Past {
            quota,
            until: now,
            over_at: now.saturating_add(longest_lead(algorithm, &quota)),
        });
        self.version.store(version | 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(to.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
        self.version.store((version | 1) + 1, Ordering::Release);
        Ok(())
    }

    /// Carries a state that was written under the quota of this tag over to that of `revision`; tells whether it
    /// was one of an earlier one.
    #[cold]
    pub(crate) fn carry_over<A: Algorithm + ?Sized>(
        &self,
        algorithm: &A,
        state: &mut [u64],
        written: Tag,
        revision: u64,
    ) -> bool {
        let past = self.past();
        let written = self.revision_of(written);
        self.each_change(&past, written, revision, |from, to, at| {
            algorithm.carry_over(from, to, state, at);
        });
        written <= revision
    }

    /// Whether a tag is that of `revision` or of an earlier one.
    pub(crate) fn is_until(&self, tag: Tag, revision: u64) -> bool {
        let _unchanging = self.past();
        self.revision_of(tag) <= revision
    }

    /// What is settled of a charge of an earlier revision: by how much, and as of when, under the quota of
    /// `revision`.
    pub(crate) fn settlement(
        &self,
        algorithm: &dyn Algorithm,
        (then, charged_under): (&Quota, u64),
        (quota, revision): (&Quota, u64),
        (charged, by): (Tick, i64),
    ) -> (Tick, i64) {
        let past = self.past();
        let mut redated = charged;
        // What is charged is charged now.
        if by < 0 {
            self.each_change(&past, charged_under, revision, |from, to, at| {
                redated = algorithm.redate(from, to, redated, at);
            });
        }
        (redated, in_proportion(by, then.burst(), quota.burst()))
    }

    fn each_change(
        &self,
        past: &VecDeque<Past>,
        mut from: u64,
        revision: u64,
        mut change: impl FnMut(&Quota, &Quota, Tick),
    ) {
        let (in_force, newest) = match self.version.load(Ordering::Relaxed) {
            0 => (self.first, 0),
            version => (Quota::from_words(self.read()), version / 2),
        };
        let quota_of = |revision: u64| match newest.checked_sub(revision) {
            Some(0) => Some((&in_force, Tick::MAX)),
            Some(ago) => {
                let nth = past.len().checked_sub(usize::try_from(ago).ok()?)?;
                past.get(nth).map(|past| (&past.quota, past.until))
            }
            None => None,
        };
        while from < revision {
            if let (Some((old, at)), Some((new, _))) = (quota_of(from), quota_of(from + 1)) {
                change(old, new, at);
            }
            from += 1;
        }
    }

    /// The revision of a tag: the last one that has it. Only while nobody changes the quota.
    fn revision_of(&self, tag: Tag) -> u64 {
        let newest = self.version.load(Ordering::Relaxed) / 2;
        newest.saturating_sub(u64::from((newest as Tag).wrapping_sub(tag)))
    }

    fn past(&self) -> MutexGuard<'_, VecDeque<Past>> {
        unpoisoned(self.past.lock())
    }
}

/// A cost under one quota in those of another, of the same share of the burst: rounded up where it is charged
/// and down where it is given back.
pub(crate) fn in_proportion(by: i64, from: u64, to: u64) -> i64 {
    let (scaled, from) = (i128::from(by) * i128::from(to), i128::from(from.max(1)));
    // Towards plus infinity, both of them.
    let rounded = scaled.div_euclid(from) + i128::from(scaled.rem_euclid(from) > 0);
    i64::try_from(rounded).unwrap_or(if by < 0 { i64::MIN } else { i64::MAX })
}

/// The longest that a state can say anything after it was last charged.
fn longest_lead(algorithm: &dyn Algorithm, quota: &Quota) -> std::time::Duration {
    let mut state = vec![0; algorithm.words()];
    algorithm.charge(quota, &mut state, Tick::ZERO, i64::MAX);
    let lead = algorithm.forget_at(quota, &state).as_nanos();
    std::time::Duration::from_nanos(lead.saturating_add(SKEW))
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get().0, f)
    }
}
