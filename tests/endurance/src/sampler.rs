//! What a process takes, sampled while it runs: memory, open files, the size of its state on disk; and how fast that grows.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Since the start.
    pub seconds: f64,
    /// Readings consumed by then, as far as forecasts tell.
    pub readings: u64,
    /// Resident memory of the daemon, bytes.
    pub memory: u64,
    /// Resident memory of the broker, bytes.
    pub broker_memory: u64,
    /// Size of the state on disk, bytes.
    pub state: u64,
    /// Open files of the daemon.
    pub open_files: u64,
}

/// Samples until it is stopped.
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Vec<Sample>>>,
}

impl Sampler {
    /// Begins; every sample is also a line of `csv`.
    pub fn start(daemon: u32, broker: u32, state: PathBuf, readings: Arc<AtomicU64>, every: Duration, csv: Option<PathBuf>) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut writer = csv.map(csv::Writer::from_path).transpose()?;
            if let Some(writer) = &mut writer {
                writer.write_record([
                    "seconds",
                    "readings",
                    "memory_bytes",
                    "broker_memory_bytes",
                    "state_bytes",
                    "open_files",
                ])?;
            }
            let begun = Instant::now();
            let mut samples = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let sample = Sample {
                    seconds: begun.elapsed().as_secs_f64(),
                    readings: readings.load(Ordering::Relaxed),
                    memory: memory(daemon),
                    broker_memory: memory(broker),
                    state: folder_bytes(&state),
                    open_files: fs::read_dir(format!("/proc/{daemon}/fd")).map_or(0, |files| files.count() as u64),
                };
                samples.push(sample);
                if let Some(writer) = &mut writer {
                    let counts = [
                        sample.readings,
                        sample.memory,
                        sample.broker_memory,
                        sample.state,
                        sample.open_files,
                    ];
                    writer.write_record(
                        [format!("{:.1}", sample.seconds)]
                            .into_iter()
                            .chain(counts.map(|count| count.to_string())),
                    )?;
                    writer.flush()?;
                }
                std::thread::park_timeout(every);
            }
            Ok(samples)
        });
        Sampler { stop, thread }
    }

    /// Ends; all samples.
    ///
    /// # Errors
    /// When the CSV cannot be written.
    pub fn end(self) -> anyhow::Result<Vec<Sample>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread
            .join()
            .unwrap_or_else(|_| anyhow::bail!("the sampler ended unexpectedly"))
    }
}

/// Resident memory in bytes; 0 for a process that is not there.
fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    kib * 1024
}

/// Size of the files in a folder.
fn folder_bytes(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|found| found.len()).sum()
}

/// By how many bytes `of` grows with every million readings, by least squares over the second half of the samples.
pub fn slope(samples: &[Sample], of: fn(&Sample) -> u64) -> f64 {
    let half = &samples[samples.len() / 2..];
    let count = half.len() as f64;
    let x = |sample: &Sample| sample.readings as f64 / 1e6;
    let (mean_x, mean_y) = (
        half.iter().map(x).sum::<f64>() / count,
        half.iter().map(|s| of(s) as f64).sum::<f64>() / count,
    );
    let spread: f64 = half.iter().map(|sample| (x(sample) - mean_x).powi(2)).sum();
    let together: f64 = half.iter().map(|sample| (x(sample) - mean_x) * (of(sample) as f64 - mean_y)).sum();
    if spread > 0.0 { together / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_second_half() {
        let sample = |readings: u64, memory: u64| Sample {
            seconds: 0.0,
            readings,
            memory,
            broker_memory: 0,
            state: 0,
            open_files: 0,
        };
        let rising = (0..10).map(|million| sample(million * 1_000_000, 1000 * million));
        let flat = (10..20).map(|million| sample(million * 1_000_000, 7));
        let samples: Vec<Sample> = rising.chain(flat).collect();
        assert_eq!(slope(&samples, |sample| sample.memory), 0.0);
        assert_eq!(slope(&samples[..10], |sample| sample.memory), 1000.0);
    }
}
