//! The engine, driven by the vectors in `tests/vectors/cache/`, by random exchanges, and beside another implementation.

mod corpus;
mod properties;
mod simulator;
mod vectors;
