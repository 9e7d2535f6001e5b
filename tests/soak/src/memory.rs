//! Whether the gateway's memory is flat.
//!
//! Of the samples of a run, the first third is warm-up: caches fill, allocators find their size. What happens to
//! the gateway comes in cycles, and a third has whole ones, so the medians of the other two thirds would be the
//! same if nothing were kept that ought to be let go.

use std::{fs, io};

/// The most by which the last third's median may be above the one before.
const GROWTH: f64 = 0.05;

/// Kilobytes, one sample after another.
#[derive(Debug, Default)]
pub(crate) struct Memory(Vec<u64>);

/// The medians of the second and the last third.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Medians {
    pub(crate) warm: u64,
    pub(crate) last: u64,
}

impl Memory {
    /// Reads what is resident of a process.
    pub(crate) fn sample(&mut self, process: u32) -> io::Result<()> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let resident = resident(&status).ok_or_else(|| {
            let reason = "the system does not say how much memory the gateway has";
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })?;
        self.0.push(resident);
        Ok(())
    }

    pub(crate) fn medians(&self) -> Option<Medians> {
        let third = self.0.len() / 3;
        let (last, before) = (self.0.rchunks_exact(third.max(1)).next()?, third);
        let warm = self.0.get(before..before + third)?;
        Some(Medians {
            warm: median(warm)?,
            last: median(last)?,
        })
    }
}

impl Medians {
    /// By which share it grew; below zero if it shrank.
    pub(crate) fn growth(self) -> f64 {
        self.last as f64 / self.warm as f64 - 1.0
    }

    pub(crate) fn is_flat(self) -> bool {
        self.growth() <= GROWTH
    }
}

fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn median(samples: &[u64]) -> Option<u64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_resident_is_read() {
        assert_eq!(
            resident("VmPeak:\t 9 kB\nVmRSS:\t   8120 kB\n"),
            Some(8_120)
        );
        assert_eq!(resident("VmPeak:\t 9 kB\n"), None);
    }

    #[test]
    fn warm_up_and_peaks_do_not_count_and_growth_does() {
        let flat = Memory([1, 50, 90, 100, 101, 999, 100, 102, 100].into());
        assert_eq!(
            flat.medians(),
            Some(Medians {
                warm: 101,
                last: 100
            })
        );
        assert!(flat.medians().unwrap().is_flat());
        let leaking = Memory([10, 20, 30, 100, 101, 102, 106, 107, 108].into());
        assert!(!leaking.medians().unwrap().is_flat());
        assert_eq!(Memory::default().medians(), None);
        assert_eq!(Memory([1, 2].into()).medians(), None);
    }
}
