//! The gateway's call log, read back.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// What of a line matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    pub(crate) path: String,
    pub(crate) status: Option<u16>,
    pub(crate) bytes: u64,
    pub(crate) end: String,
}

/// Reads all files of a log, the youngest of which is at `path`.
///
/// # Errors
///
/// Where a file cannot be read, a line is no record of a call, or `each` says so.
pub(crate) fn read(
    path: &Path,
    mut each: impl FnMut(Record) -> Result<(), String>,
) -> io::Result<()> {
    let mut file = path.to_owned();
    let mut number = 0_u32;
    while number == 0 || file.exists() {
        for (index, line) in BufReader::new(File::open(&file)?).lines().enumerate() {
            let line = line?;
            let wrong = |reason: String| {
                let place = format!("{}:{}: {reason}: {line}", file.display(), index + 1);
                io::Error::new(io::ErrorKind::InvalidData, place)
            };
            let record = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
            each(record).map_err(wrong)?;
        }
        number += 1;
        file = aside(path, number);
    }
    Ok(())
}

fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}
