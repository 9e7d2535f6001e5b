use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// A file that is set aside when it is full: `calls.ndjson` becomes `calls.ndjson.1`, that becomes
/// `calls.ndjson.2`, and the last of them goes.
#[derive(Debug)]
pub(super) struct Rotated {
    path: PathBuf,
    max_bytes: u64,
    files: u32,
    file: BufWriter<File>,
    bytes: u64,
}

impl Rotated {
    /// Opens it, behind what stands in it. There are `files` of at most `max_bytes` each.
    pub(super) fn open(path: &Path, max_bytes: u64, files: u32) -> io::Result<Self> {
        let (file, bytes) = open(path)?;
        Ok(Self {
            path: path.to_owned(),
            max_bytes,
            files,
            file,
            bytes,
        })
    }

    /// Writes `line`, which is whole, into the file or, if that is full, into a new one.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if self.bytes > 0 && self.bytes.saturating_add(length) > self.max_bytes {
            self.rotate()?;
        }
        self.file.write_all(line)?;
        self.bytes += length;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.flush()?;
        // If it is not there it has been set aside before, and could not be opened anew since: to set the others aside
        // once more for each line would lose all of them.
        if self.path.try_exists()? {
            self.set_aside()?;
        }
        (self.file, self.bytes) = open(&self.path)?;
        Ok(())
    }

    fn set_aside(&self) -> io::Result<()> {
        if self.files > 1 {
            for older in (1..self.files).rev() {
                let newer = match older {
                    1 => self.path.clone(),
                    _ => self.aside(older - 1),
                };
                match fs::rename(newer, self.aside(older)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        } else {
            fs::remove_file(&self.path)?;
        }
        Ok(())
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

fn open(path: &Path) -> io::Result<(BufWriter<File>, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((BufWriter::new(file), bytes))
}
