use std::any::Any;

use buttress_core::{ExtractKey, KeyWriter, MissingKey};

use crate::Head;

/// The method, byte for byte: methods are compared with case (RFC 9110 §9.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Method;

impl ExtractKey<Head> for Method {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        key.text(from.method().as_str());
        Ok(())
    }

    fn is_same(&self, other: &dyn Any) -> bool {
        other.is::<Self>()
    }
}

/// The path, without the query, byte for byte.
///
/// Callers choose it: a limit by path alone gives each caller as many quotas as it can think of paths. By
/// the matched route (`Route`) there are as many as there are routes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path;

impl ExtractKey<Head> for Path {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        key.text(from.uri().path());
        Ok(())
    }

    fn is_same(&self, other: &dyn Any) -> bool {
        other.is::<Self>()
    }
}
