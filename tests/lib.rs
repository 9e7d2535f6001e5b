//! A package of tests; see `whole/`.
