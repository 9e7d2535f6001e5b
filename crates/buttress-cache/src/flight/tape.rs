use std::{collections::VecDeque, sync::Weak};

use bytes::Bytes;

/// Laggards get what they missed in copies of this size at most.
const COPY: usize = 64 * 1024;

/// Of the pieces that came last so many are kept as they came, for those who keep up. They are slices of
/// read buffers, which a longer tail would pin.
const RECENT: usize = 2;

/// What has come of a body, for readers at different places in it.
///
/// While all of it is kept, each byte is copied once, into an allocation that is in the end of the
/// body's exact size. Those who keep up read the pieces as they came.
#[derive(Debug)]
pub(crate) struct Tape {
    kept: Kept,
    /// Without gaps, up to `end`.
    recent: VecDeque<Piece>,
    end: u64,
}

#[derive(Debug)]
enum Kept {
    /// All that has come.
    Growing(Vec<u8>),
    /// All there is.
    Whole(Bytes),
    /// What the store still has.
    Stored(Weak<Bytes>),
    /// Only what is in `recent`.
    Nothing,
}

#[derive(Debug)]
struct Piece {
    at: u64,
    bytes: Bytes,
}

impl Tape {
    /// Keeps everything, of which `expected` bytes are known to come.
    pub(crate) fn keeping(expected: usize) -> Self {
        Self {
            kept: Kept::Growing(Vec::with_capacity(expected)),
            recent: VecDeque::new(),
            end: 0,
        }
    }

    /// The number of bytes that have come.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// Whether a reader may still begin at the beginning.
    pub(crate) const fn has_its_beginning(&self) -> bool {
        !matches!(self.kept, Kept::Nothing)
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if let Kept::Growing(kept) = &mut self.kept {
            kept.extend_from_slice(&bytes);
            while self.recent.len() >= RECENT {
                self.recent.pop_front();
            }
        }
        let at = self.end;
        self.end += bytes.len() as u64;
        self.recent.push_back(Piece { at, bytes });
    }

    /// What a reader who has had `at` bytes gets next; `None` where it has had all that came, or what it lacks
    /// is not there any more.
    pub(crate) fn read(&self, at: u64) -> Option<Bytes> {
        if at >= self.end {
            return None;
        }
        let recent = self.recent.iter().rev().find(|piece| piece.at <= at);
        if let Some(piece) = recent {
            return slice(&piece.bytes, at - piece.at);
        }
        // A slice of it, in the buffers of whoever does not send it on, would keep all of it alive.
        let copy = |kept: &[u8]| {
            let rest = kept.get(usize::try_from(at).ok()?..usize::try_from(self.end).ok()?)?;
            Some(Bytes::copy_from_slice(rest.get(..COPY).unwrap_or(rest)))
        };
        match &self.kept {
            Kept::Growing(kept) => copy(kept),
            Kept::Whole(whole) => copy(whole),
            Kept::Stored(body) => copy(&body.upgrade()?),
            Kept::Nothing => None,
        }
    }

    /// That was all, `last` included, which nobody sees before it is [published](Self::publish). The
    /// body, in an allocation of its size, if it was kept.
    pub(crate) fn seal(&mut self, last: Bytes) -> Option<Bytes> {
        match &mut self.kept {
            Kept::Growing(kept) => {
                kept.extend_from_slice(&last);
                let whole = Bytes::from(std::mem::take(kept).into_boxed_slice());
                self.kept = Kept::Whole(whole.clone());
                self.recent.clear();
                Some(whole)
            }
            Kept::Whole(whole) => Some(whole.clone()),
            Kept::Stored(_) => None,
            Kept::Nothing => {
                if !last.is_empty() {
                    self.push(last);
                }
                None
            }
        }
    }

    /// Lets readers see what was sealed.
    pub(crate) fn publish(&mut self) {
        if let Kept::Whole(whole) = &self.kept {
            self.end = whole.len() as u64;
        }
    }

    /// Keeps no longer what all readers have had.
    pub(crate) fn stop_keeping(&mut self) {
        if let Kept::Growing(kept) = &mut self.kept {
            let bytes = Bytes::from(std::mem::take(kept));
            self.kept = Kept::Nothing;
            self.recent.clear();
            if !bytes.is_empty() {
                self.recent.push_back(Piece { at: 0, bytes });
            }
        }
    }

    /// Has no more of what came than the store does.
    pub(crate) fn leave_to(&mut self, stored: Weak<Bytes>) {
        self.recent.clear();
        if let Kept::Whole(_) = self.kept {
            self.kept = Kept::Stored(stored);
        }
    }

    /// Whether the first byte is still there for somebody who has not had it.
    pub(crate) fn holds_the_first(&self) -> bool {
        self.recent.front().is_some_and(|piece| piece.at == 0)
    }

    /// Everybody has had what comes before `at`.
    pub(crate) fn forget_before(&mut self, at: u64) {
        while let Some(first) = self.recent.front()
            && first.at + first.bytes.len() as u64 <= at
        {
            self.recent.pop_front();
        }
    }

    /// Where the piece that is kept for the slowest ends.
    pub(crate) fn end_of_first(&self) -> Option<u64> {
        let first = self.recent.front()?;
        Some(first.at + first.bytes.len() as u64)
    }
}

fn slice(bytes: &Bytes, at: u64) -> Option<Bytes> {
    let at = usize::try_from(at).ok()?;
    (at < bytes.len()).then(|| bytes.slice(at..))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn read_all(tape: &Tape) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(bytes) = tape.read(all.len() as u64) {
            all.extend_from_slice(&bytes);
        }
        all
    }

    #[test]
    fn who_keeps_up_reads_what_came_and_the_whole_is_of_exact_size() {
        let mut tape = Tape::keeping(0);
        for (n, piece) in ["one, ", "two, ", "three, ", "four"]
            .into_iter()
            .enumerate()
        {
            let frame = Bytes::from(piece.to_owned());
            let at = tape.end();
            tape.push(frame.clone());
            assert_eq!(tape.read(at).unwrap().as_ptr(), frame.as_ptr(), "piece {n}");
        }
        assert_eq!(tape.read(tape.end()), None);
        assert_eq!(read_all(&tape), b"one, two, three, four");
        let whole = tape.seal(Bytes::new()).unwrap();
        assert_eq!(whole, "one, two, three, four");
        let vec = Vec::from(whole.clone());
        assert_eq!(vec.capacity(), vec.len());
        tape.publish();
        // Late readers do not keep it alive.
        drop(tape.read(5).unwrap());
        tape.leave_to(Weak::new());
        assert!(whole.is_unique());
    }

    #[test]
    fn no_more_than_two_read_buffers_are_pinned() {
        let mut tape = Tape::keeping(16);
        let frames: Vec<_> = (0..8_u8).map(|n| Bytes::from(vec![n, n])).collect();
        for frame in &frames {
            tape.push(frame.clone());
        }
        let pinned = frames.iter().filter(|frame| !frame.is_unique()).count();
        assert_eq!(pinned, RECENT);
        tape.seal(Bytes::new());
        assert!(frames.iter().all(Bytes::is_unique));
    }

    #[test]
    fn what_is_not_kept_is_there_until_everybody_had_it() {
        let mut tape = Tape::keeping(0);
        tape.push(Bytes::from_static(b"begin"));
        tape.stop_keeping();
        assert!(!tape.has_its_beginning());
        tape.push(Bytes::from_static(b"middle"));
        tape.push(Bytes::from_static(b"end"));
        assert_eq!(read_all(&tape), b"beginmiddleend");
        assert_eq!(tape.read(2).unwrap(), "gin");
        tape.forget_before(7);
        assert_eq!(tape.read(2), None);
        assert_eq!(tape.read(7).unwrap(), "ddle");
        assert_eq!(tape.end_of_first(), Some(11));
        tape.forget_before(14);
        assert_eq!(tape.end_of_first(), None);
        assert_eq!(tape.seal(Bytes::new()), None);
    }

    #[test]
    fn the_last_piece_is_not_seen_before_it_is_published() {
        let mut tape = Tape::keeping(6);
        tape.push(Bytes::from_static(b"one"));
        assert_eq!(tape.seal(Bytes::from_static(b"two")).unwrap(), "onetwo");
        assert_eq!(read_all(&tape), b"one");
        tape.publish();
        assert_eq!(read_all(&tape), b"onetwo");
    }

    #[test]
    fn laggards_get_bounded_copies() {
        let mut tape = Tape::keeping(0);
        for _ in 0..10 {
            tape.push(Bytes::from(vec![1; COPY / 2]));
        }
        assert_eq!(tape.read(0).unwrap().len(), COPY);
        assert_eq!(read_all(&tape).len(), 5 * COPY);
    }
}
