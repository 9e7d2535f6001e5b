//! How much memory the process has.

use std::{error::Error, fs};

/// The bytes of it that are resident.
///
/// # Errors
///
/// Where Linux does not tell.
pub fn resident() -> Result<u64, Box<dyn Error>> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    // The second field counts pages, of 4 KiB on the machines that this is run on.
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .ok_or("statm has no second field")?
        .parse()?;
    Ok(pages * 4_096)
}
