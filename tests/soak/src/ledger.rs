//! What became of each request, as its client saw it; and whether the call log says the same.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::call_log::Record;

/// Every request, by its number. What is shared has none, and is counted.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_id: Vec<Entry>,
    /// By path and what was seen: how many, and how many of these were told of.
    shared: BTreeMap<(String, Seen), (u64, u64)>,
}

#[derive(Debug)]
struct Entry {
    seen: Seen,
    logged: u32,
}

/// What a client saw of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seen {
    /// Nothing yet.
    Pending,
    /// All of the answer.
    Whole { status: u16, bytes: u64 },
    /// All of a message by gRPC, with its status.
    Grpc { bytes: u64 },
    /// A tunnel, through which so much came back: all, or as much as there was until it broke.
    Tunnel { bytes: u64, whole: bool },
    /// So much of it, and left.
    Left { bytes: u64 },
    /// So much of it, and then an error.
    Broken { bytes: u64 },
    /// The connection broke under the answer.
    Lost,
    /// It left before there was an answer: the gateway may not even have seen the request.
    Unanswered,
}

impl Ledger {
    /// A number for a new request.
    pub(crate) fn begin(&self) -> u64 {
        let mut entries = self.entries();
        entries.by_id.push(Entry {
            seen: Seen::Pending,
            logged: 0,
        });
        entries.by_id.len() as u64 - 1
    }

    pub(crate) fn saw(&self, id: u64, seen: Seen) {
        if let Some(entry) = self.entries().by_id.get_mut(id as usize) {
            entry.seen = seen;
        }
    }

    pub(crate) fn saw_shared(&self, path: String, seen: Seen) {
        let mut entries = self.entries();
        entries.shared.entry((path, seen)).or_default().0 += 1;
    }

    /// How many were seen in which way.
    pub(crate) fn sum(&self) -> BTreeMap<String, u64> {
        let entries = self.entries();
        let mut sum = BTreeMap::<_, u64>::new();
        for entry in &entries.by_id {
            *sum.entry(entry.seen.kind()).or_default() += 1;
        }
        for ((_, seen), (count, _)) in &entries.shared {
            *sum.entry(seen.kind()).or_default() += count;
        }
        sum
    }

    /// The log tells of a call.
    ///
    /// # Errors
    ///
    /// Where it is told of a request that there was not, or otherwise than its client saw it.
    pub(crate) fn check(&self, record: &Record) -> Result<(), String> {
        let mut entries = self.entries();
        if record.path.starts_with("/shared/") || record.path.starts_with("/own/") {
            return entries.check_shared(record);
        }
        let id = record
            .path
            .rsplit('/')
            .next()
            .and_then(|id| id.parse().ok());
        let entry = id.and_then(|id: usize| entries.by_id.get_mut(id));
        let entry = entry.ok_or("nobody asked for this")?;
        entry.logged += 1;
        if entry.logged > 1 {
            return Err("is told of twice".to_owned());
        }
        if entry.seen.agrees_with(record) {
            Ok(())
        } else {
            Err(format!("its client saw {:?}", entry.seen))
        }
    }

    /// Whether the log has told of all.
    ///
    /// # Errors
    ///
    /// Where it has not.
    pub(crate) fn check_all(&self) -> Result<(), String> {
        let entries = self.entries();
        for (id, entry) in entries.by_id.iter().enumerate() {
            if entry.logged == 0 && entry.seen != Seen::Unanswered {
                return Err(format!(
                    "request {id}, of which its client saw {:?}, is not in the call log",
                    entry.seen
                ));
            }
        }
        for ((path, seen), (count, logged)) in &entries.shared {
            if count != logged {
                return Err(format!(
                    "{count} clients asked for {path} and saw {seen:?}, but the call log has {logged} of them"
                ));
            }
        }
        Ok(())
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Which of several that asked for the same is told of cannot be said: one that saw what is told.
    fn check_shared(&mut self, record: &Record) -> Result<(), String> {
        let open = self
            .shared
            .iter_mut()
            .filter(|((path, seen), (count, logged))| {
                *path == record.path && logged < count && seen.agrees_with(record)
            });
        // What agrees with anything comes last.
        let (_, (_, logged)) = open
            .min_by_key(|((_, seen), _)| *seen == Seen::Lost)
            .ok_or("nobody saw this")?;
        *logged += 1;
        Ok(())
    }
}

impl Seen {
    fn kind(self) -> String {
        match self {
            Self::Pending => "pending".to_owned(),
            Self::Whole { status, .. } => status.to_string(),
            Self::Grpc { .. } => "grpc".to_owned(),
            Self::Tunnel { .. } => "tunnel".to_owned(),
            Self::Left { .. } => "left".to_owned(),
            Self::Broken { .. } => "broken".to_owned(),
            Self::Lost => "lost".to_owned(),
            Self::Unanswered => "unanswered".to_owned(),
        }
    }

    fn agrees_with(self, record: &Record) -> bool {
        let end = record.end.as_str();
        match self {
            Self::Pending => false,
            Self::Whole { status, bytes } => {
                record.status == Some(status) && end == "complete" && record.bytes == bytes
            }
            Self::Grpc { bytes } => {
                record.status == Some(200) && end == "complete" && record.bytes == bytes
            }
            Self::Tunnel { bytes, whole } => {
                record.status == Some(101)
                    && end == "tunnel"
                    && (record.bytes == bytes || !whole && record.bytes > bytes)
            }
            // What was on the way when it left may have been the rest.
            Self::Left { bytes } => {
                record.status == Some(200)
                    && ["client_left", "complete", "upstream_broke_off"].contains(&end)
                    && record.bytes >= bytes
            }
            Self::Broken { bytes } => {
                record.status == Some(200) && end == "upstream_broke_off" && record.bytes >= bytes
            }
            Self::Lost | Self::Unanswered => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str, status: u16, bytes: u64, end: &str) -> Record {
        Record {
            path: path.to_owned(),
            status: Some(status),
            bytes,
            end: end.to_owned(),
        }
    }

    #[test]
    fn each_is_told_of_once_and_as_it_was_seen() {
        let ledger = Ledger::default();
        let whole = Seen::Whole {
            status: 200,
            bytes: 7,
        };
        for seen in [
            whole,
            Seen::Left { bytes: 64 },
            Seen::Broken { bytes: 64 },
            Seen::Unanswered,
        ] {
            ledger.saw(ledger.begin(), seen);
        }
        for (wrong, reason) in [
            (record("/bytes/7/4", 200, 7, "complete"), "nobody asked"),
            (record("/bytes/7/0", 200, 6, "complete"), "saw Whole"),
            (record("/bytes/7/0", 200, 7, "complete"), "twice"),
            (record("/stream/7/2", 200, 64, "complete"), "saw Broken"),
        ] {
            let error = ledger.check(&wrong).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert!(ledger.check_all().unwrap_err().contains("request 1"));
        let left = record("/stream/7/1", 200, 128, "client_left");
        assert_eq!(ledger.check(&left), Ok(()));
        assert_eq!(ledger.check_all(), Ok(()));
    }

    #[test]
    fn a_tunnel_carries_what_came_out_of_it() {
        let seen = |whole| Seen::Tunnel { bytes: 7, whole };
        for (status, bytes, end, of_whole, of_broken) in [
            (101, 7, "tunnel", true, true),
            (101, 8, "tunnel", false, true),
            (101, 6, "tunnel", false, false),
            (101, 7, "complete", false, false),
            (200, 7, "tunnel", false, false),
        ] {
            let record = record("/tunnel/0", status, bytes, end);
            assert_eq!(seen(true).agrees_with(&record), of_whole, "{record:?}");
            assert_eq!(seen(false).agrees_with(&record), of_broken, "{record:?}");
        }
    }

    #[test]
    fn what_is_shared_is_counted() {
        let ledger = Ledger::default();
        let whole = Seen::Whole {
            status: 200,
            bytes: 7,
        };
        for _ in 0..2 {
            ledger.saw_shared("/shared/1".to_owned(), whole);
        }
        ledger.saw_shared("/shared/1".to_owned(), Seen::Broken { bytes: 3 });
        ledger.saw_shared("/shared/2".to_owned(), Seen::Lost);
        ledger.saw_shared("/shared/2".to_owned(), whole);
        let told = record("/shared/1", 200, 7, "complete");
        assert_eq!(ledger.check(&told), Ok(()));
        assert!(ledger.check_all().is_err());
        assert_eq!(ledger.check(&told), Ok(()));
        assert!(ledger.check(&told).is_err());
        let other = record("/shared/2", 200, 7, "complete");
        assert_eq!(ledger.check(&other), Ok(()));
        assert!(ledger.check_all().is_err());
        assert_eq!(ledger.check(&other), Ok(()));
        assert!(ledger.check(&other).is_err());
        assert_eq!(
            ledger.check(&record("/shared/1", 200, 4, "upstream_broke_off")),
            Ok(())
        );
        assert_eq!(ledger.check_all(), Ok(()));
        assert_eq!(
            ledger.sum(),
            [("200", 3), ("broken", 1), ("lost", 1)]
                .map(|(seen, count)| (seen.to_owned(), count))
                .into()
        );
    }
}
