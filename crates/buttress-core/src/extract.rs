use std::{any::Any, error::Error, fmt, sync::Arc};

use crate::{Key, KeyWriter};

/// Takes a key from a request: whose quota, whose circuit, whose budget.
///
/// Writing into the [`KeyWriter`] hashes on the fly, so a key made of borrowed parts costs no
/// allocation. A closure over `(&T, &mut KeyWriter)` is an extractor; [`key_from`] makes one of a
/// closure that returns the key; a tuple of extractors writes one key after the other.
///
/// ```
/// use buttress_core::{ExtractKey, KeyWriter, MissingKey, key_from};
///
/// struct Command { tenant: String, verb: &'static str }
///
/// let by_tenant = |command: &Command, key: &mut KeyWriter<'_>| {
///     key.text(&command.tenant);
///     Ok::<(), MissingKey>(())
/// };
/// let by_verb = key_from(|command: &Command| Some(command.verb));
///
/// let command = Command { tenant: "acme".into(), verb: "list" };
/// let label = KeyWriter::label(|key| (by_tenant, by_verb).extract(&command, key));
/// assert_eq!(label.as_deref(), Ok("acme/list"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot take a key from `{T}`",
    label = "not an extractor for `{T}`",
    note = "an extractor is a closure `|from: &{T}, key: &mut KeyWriter<'_>| -> Result<(), MissingKey>`, `key_from(..)`, or a tuple of extractors"
)]
pub trait ExtractKey<T: ?Sized>: Send + Sync + 'static {
    /// Writes the key of `from` into `key`.
    ///
    /// # Errors
    ///
    /// [`MissingKey`] where `from` has none: what happens then is the layer's user's choice.
    fn extract(&self, from: &T, key: &mut KeyWriter<'_>) -> Result<(), MissingKey>;

    /// Whether `other` finds the very key that this one finds, whatever both are asked of: then one of them is
    /// asked for both. Layers ask this when they are built.
    ///
    /// Unless an extractor knows better it is unlike all others.
    fn is_same(&self, other: &dyn Any) -> bool {
        let _ = other;
        false
    }
}

impl<T: ?Sized, F> ExtractKey<T> for F
where
    F: Fn(&T, &mut KeyWriter<'_>) -> Result<(), MissingKey> + Send + Sync + 'static,
{
    fn extract(&self, from: &T, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        self(from, key)
    }
}

macro_rules! tuple_of_extractors {
    ($(($name:ident $other:ident))+) => {
        impl<T: ?Sized, $($name: ExtractKey<T>),+> ExtractKey<T> for ($($name,)+) {
            #[allow(non_snake_case, reason = "a type parameter names its value")]
            fn extract(&self, from: &T, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
                let ($($name,)+) = self;
                $($name.extract(from, key)?;)+
                Ok(())
            }

            #[allow(non_snake_case, reason = "a type parameter names its value")]
            fn is_same(&self, other: &dyn Any) -> bool {
                let ($($name,)+) = self;
                match other.downcast_ref::<Self>() {
                    Some(($($other,)+)) => true $(&& ExtractKey::<T>::is_same($name, $other))+,
                    None => false,
                }
            }
        }
    };
}

tuple_of_extractors!((A a) (B b));
tuple_of_extractors!((A a) (B b) (C c));
tuple_of_extractors!((A a) (B b) (C c) (D d));

/// An extractor from a closure that returns the key, or `None` where there is none.
pub fn key_from<T: ?Sized, K, F>(closure: F) -> KeyFrom<F>
where
    F: Fn(&T) -> Option<K> + Send + Sync + 'static,
    K: Key,
{
    KeyFrom(closure)
}

/// The extractor that [`key_from`] makes.
#[derive(Clone, Copy)]
pub struct KeyFrom<F>(F);

impl<T: ?Sized, K, F> ExtractKey<T> for KeyFrom<F>
where
    F: Fn(&T) -> Option<K> + Send + Sync + 'static,
    K: Key,
{
    fn extract(&self, from: &T, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        let found = self.0(from).ok_or(MissingKey::new("the request has no such key"))?;
        found.write(key);
        Ok(())
    }
}

impl<F> fmt::Debug for KeyFrom<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFrom").finish_non_exhaustive()
    }
}

/// The request has no key of the kind that was asked for.
#[derive(Clone, Debug)]
pub struct MissingKey {
    why: Why,
}

#[derive(Clone, Debug)]
enum Why {
    Static(&'static str),
    Shared(Arc<str>),
}

impl MissingKey {
    /// `why` completes the sentence "no key: …". It may be shown to the caller, so it holds nothing
    /// secret.
    #[must_use]
    pub const fn new(why: &'static str) -> Self {
        Self {
            why: Why::Static(why),
        }
    }

    /// Like [`new`](Self::new), with a sentence made at run time: best once, as an `Arc<str>`, when an extractor
    /// is built. Whoever floods a service with requests that have no key makes it allocate nothing then.
    pub fn because(why: impl Into<Arc<str>>) -> Self {
        Self {
            why: Why::Shared(why.into()),
        }
    }

    /// The reason alone.
    #[must_use]
    pub fn why(&self) -> &str {
        match &self.why {
            Why::Static(why) => why,
            Why::Shared(why) => why,
        }
    }
}

impl PartialEq for MissingKey {
    fn eq(&self, other: &Self) -> bool {
        self.why() == other.why()
    }
}

impl Eq for MissingKey {}

impl fmt::Display for MissingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no key: {}", self.why())
    }
}

impl Error for MissingKey {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, DigestKey};

    type Parts = [Option<&'static str>; 4];

    fn part(n: usize) -> impl ExtractKey<Parts> {
        key_from(move |parts: &Parts| parts[n])
    }

    /// By the first two parts, by three, and by all.
    fn digests(parts: Parts) -> [Result<Digest, MissingKey>; 3] {
        let secret = DigestKey::from_words(1, 2);
        [
            secret.digest_from(&(part(0), part(1)), &parts),
            secret.digest_from(&(part(0), part(1), part(2)), &parts),
            secret.digest_from(&(part(0), part(1), part(2), part(3)), &parts),
        ]
    }

    /// Whoever differs in one part is somebody else, wherever one part ends and the next begins; and who lacks one has no key.
    #[test]
    fn a_tuple_is_all_of_its_parts() {
        let whole = [Some("a"), Some("b"), Some("c"), Some("d")];
        assert_eq!(digests(whole), digests(whole));
        for n in 0..4 {
            let (mut other, mut lacks) = (whole, whole);
            other[n] = Some("x");
            lacks[n] = None;
            for (length, ((one, other), lacking)) in (2..).zip(
                digests(whole)
                    .iter()
                    .zip(digests(other))
                    .zip(digests(lacks)),
            ) {
                assert_eq!(*one != other, n < length, "{n} of {length}");
                assert_eq!(lacking.is_err(), n < length, "{n} of {length}");
            }
        }
        let shifted = [Some("ab"), Some(""), Some("c"), Some("d")];
        let swapped = [Some("b"), Some("a"), Some("c"), Some("d")];
        for others in [shifted, swapped] {
            let pairs = digests(whole).into_iter().zip(digests(others));
            assert!(pairs.into_iter().all(|(one, other)| one != other));
        }
    }
}
