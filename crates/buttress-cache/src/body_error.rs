use std::{error::Error, fmt, sync::Arc};

/// Why a body that came through the cache ended before its end.
///
/// One fetch may have several readers, each of whom is told: so it is cheap to clone, and the inner
/// body's own error is its [`source`](Error::source).
#[derive(Clone, Debug)]
pub struct BodyError {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Inner(Arc<dyn Error + Send + Sync>),
    TooSlow,
    Unfinished,
}

impl BodyError {
    pub(crate) fn inner(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        // What is joined of a stored part and the rest passes here twice. Who was too slow in a cache further in is not the
        // one who reads here.
        let same = error.downcast_ref::<Self>().filter(|it| !it.is_too_slow());
        same.cloned().unwrap_or_else(|| Self {
            kind: Kind::Inner(error.into()),
        })
    }

    pub(crate) const fn too_slow() -> Self {
        Self {
            kind: Kind::TooSlow,
        }
    }

    pub(crate) const fn unfinished() -> Self {
        Self {
            kind: Kind::Unfinished,
        }
    }

    /// Whether this reader was cut off because it held others back for longer than they have to wait,
    /// see [`CacheLayerBuilder::patience`](crate::CacheLayerBuilder::patience).
    #[must_use]
    pub const fn is_too_slow(&self) -> bool {
        matches!(self.kind, Kind::TooSlow)
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Inner(_) => f.write_str("the response's body broke off"),
            Kind::TooSlow => f.write_str("read too slowly, while others waited for the same body"),
            Kind::Unfinished => f.write_str("the fetch ended before the body did"),
        }
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Inner(error) => Some(&**error),
            Kind::TooSlow | Kind::Unfinished => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error passes through a body that is joined of two, and through a cache around another.
    #[test]
    fn what_broke_off_is_said_once_and_whose_fault_it_is_not_elsewhere() {
        let inner = BodyError::inner(BodyError::inner("connection reset"));
        let source = inner.source().unwrap();
        assert_eq!(source.to_string(), "connection reset");
        let other = BodyError::inner(BodyError::too_slow());
        assert!(!other.is_too_slow(), "{other}");
    }
}
