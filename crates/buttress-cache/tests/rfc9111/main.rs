//! The vectors in `tests/vectors/cache/` drive the engine, by the least cache that can be made of it, and the layer; and
//! random exchanges drive the engine.

mod corpus;
mod layer;
mod properties;
mod simulator;
mod vectors;
