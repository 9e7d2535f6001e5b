use std::{
    fmt,
    sync::{Arc, Weak},
};

use bytes::Bytes;

use crate::rfc9111::StoredHead;

/// A stored response: its head, and all of its body.
///
/// Both own allocations of their exact size: nothing in them is a slice of a read buffer, which would
/// keep many times their size alive.
#[derive(Clone)]
pub struct Entry {
    head: StoredHead,
    body: Bytes,
    weight: usize,
    /// There for as long as something that has this body is stored, where somebody [asked](Self::traced) for it.
    trace: Option<Arc<Bytes>>,
}

/// What the allocator, the reference counts and the store's own tables take for an entry, at least.
const OVERHEAD: usize = 256;

impl Entry {
    /// A stored response. The body is kept as it is: see that it is no slice of something larger.
    #[must_use]
    pub fn new(head: StoredHead, body: Bytes) -> Self {
        let weight = Self::weight_of(&head, body.len());
        Self {
            head,
            body,
            weight,
            trace: None,
        }
    }

    /// What an entry with this head and so long a body weighs.
    pub(crate) fn weight_of(head: &StoredHead, length: usize) -> usize {
        head.weight()
            .saturating_add(length)
            .saturating_add(OVERHEAD)
    }

    /// The same body under another head.
    pub(crate) fn with_head(&self, head: StoredHead) -> Self {
        Self {
            trace: self.trace.clone(),
            ..Self::new(head, self.body.clone())
        }
    }

    /// With what tells whether this body is stored, under whichever head.
    pub(crate) fn traced(self) -> (Self, Weak<Bytes>) {
        let trace = Arc::new(self.body.clone());
        let stored = Arc::downgrade(&trace);
        let trace = Some(trace);
        (Self { trace, ..self }, stored)
    }

    /// Everything but the body.
    #[must_use]
    pub const fn head(&self) -> &StoredHead {
        &self.head
    }

    /// The body, shared with everybody who is served it.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The bytes of memory that it takes: body, header fields and what is kept about them, overhead.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.weight
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("status", &self.head.status())
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The responses that are stored under one key, which differ in what `Vary` names.
///
/// Cloning it is one reference count.
#[derive(Clone, Debug, Default)]
pub struct Variants(Few);

/// Most keys have one, which is found without a further step.
#[derive(Clone, Debug, Default)]
enum Few {
    #[default]
    None,
    One(Arc<Entry>),
    Many(Arc<[Arc<Entry>]>),
}

impl Variants {
    /// Nothing is stored.
    #[must_use]
    pub const fn none() -> Self {
        Self(Few::None)
    }

    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[Arc<Entry>] {
        match &self.0 {
            Few::None => &[],
            Few::One(entry) => std::slice::from_ref(entry),
            Few::Many(entries) => entries,
        }
    }

    /// The bytes of memory that they take together.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.as_slice()
            .iter()
            .fold(0, |sum, entry| sum.saturating_add(entry.weight()))
    }

    /// Whether both are the very same entries.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.as_slice(), other.as_slice());
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// These, without the ones in `gone`.
    #[must_use]
    pub fn without(&self, gone: &[Arc<Entry>]) -> Self {
        if gone.is_empty() {
            return self.clone();
        }
        let is_gone = |entry: &&Arc<Entry>| !gone.iter().any(|gone| Arc::ptr_eq(gone, entry));
        let left: Vec<_> = self.as_slice().iter().filter(is_gone).cloned().collect();
        left.into()
    }

    /// These, with `entry` in the place of the one whose variant it is, as the newest. The oldest go, as
    /// long as there are more than `most`, or they take more than `bytes`.
    #[must_use]
    pub fn with(&self, entry: Arc<Entry>, most: usize, bytes: usize) -> Self {
        if let Few::None = self.0 {
            return Self(Few::One(entry));
        }
        let others = self.as_slice().iter();
        let mut entries: Vec<_> = others
            .filter(|old| old.head.vary() != entry.head.vary())
            .cloned()
            .collect();
        entries.push(entry);
        let mut weight: usize = entries.iter().map(|entry| entry.weight()).sum();
        let mut oldest = 0;
        while entries.len() - oldest > 1 && (entries.len() - oldest > most || weight > bytes) {
            weight -= entries.get(oldest).map_or(0, |entry| entry.weight());
            oldest += 1;
        }
        entries.drain(..oldest);
        entries.into()
    }
}

impl From<Vec<Arc<Entry>>> for Variants {
    fn from(mut entries: Vec<Arc<Entry>>) -> Self {
        Self(match (entries.pop(), entries.is_empty()) {
            (None, _) => Few::None,
            (Some(only), true) => Few::One(only),
            (Some(last), false) => {
                entries.push(last);
                Few::Many(entries.into())
            }
        })
    }
}
