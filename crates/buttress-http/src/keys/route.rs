use std::any::Any;

use axum::extract::MatchedPath;
use buttress_core::{ExtractKey, KeyWriter, MissingKey};

use crate::Head;

/// The route that axum matched, such as `/users/{id}`.
///
/// Known to layers that axum runs after routing: those of `Router::layer` and `Router::route_layer`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Route;

impl ExtractKey<Head> for Route {
    fn extract(&self, from: &Head, key: &mut KeyWriter<'_>) -> Result<(), MissingKey> {
        let route = from.extensions().get::<MatchedPath>();
        key.text(route.ok_or(MissingKey::new("no route matched"))?.as_str());
        Ok(())
    }

    fn is_same(&self, other: &dyn Any) -> bool {
        other.is::<Self>()
    }
}
