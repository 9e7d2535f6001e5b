#[path = "../../tests/scenario/mod.rs"]
mod scenario;

mod laws;
mod scenarios;
