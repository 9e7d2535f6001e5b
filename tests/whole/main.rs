//! What the crates do together, in the programs that people build of them.

mod axum_app;
mod refusals;
mod stacking;
