//! Draws, as an SVG on the standard output, how each algorithm treats the same bursty traffic under the same
//! quota. The picture in the README is this one.
//!
//! ```text
//! cargo run -p algorithms > docs/algorithms.svg
//! ```
//!
//! Nothing is sketched: every mark is a decision of a [`RateLimiter`](buttress::RateLimiter) whose clock is
//! turned by hand.

mod lane;
mod svg;
mod traffic;

use std::error::Error;

use buttress::Quota;

fn main() -> Result<(), Box<dyn Error>> {
    let quota = Quota::per_second(6).burst(6).build()?;
    let arrivals = traffic::bursty();
    let lanes = lane::all(quota, &arrivals)?;
    print!("{}", svg::draw(&quota, &arrivals, &lanes));
    Ok(())
}
