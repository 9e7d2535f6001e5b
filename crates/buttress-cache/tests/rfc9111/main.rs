//! The engine, driven by the vectors in `tests/vectors/cache/` and by random exchanges. The same vectors drive the layer:
//! `tests/layer/vectors.rs`.

mod corpus;
mod properties;
mod simulator;
mod vectors;
