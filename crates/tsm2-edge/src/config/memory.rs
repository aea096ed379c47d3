//! Memory that the streams of a model need, and that this machine has.

use tsm2_stream::{ForecasterConfig, Monitor, ResamplerConfig};

use crate::model::OpenModel;

/// Bytes of a reading that waits in an open time bin, and of its variate.
const OPEN_BIN_BYTES: u64 = 40;
const VARIATE_BYTES: u64 = 100;
/// Names, tables, known readings and allocator of one stream.
const STREAM_BYTES: u64 = 4096;

/// The streams do not fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{streams} streams need {} MB of memory ({per_stream} bytes each), and this machine has {} MB; \
     lower state.max_streams_in_memory (with state.path) or input.max_streams",
    per_stream.saturating_mul(*streams) / 1_000_000,
    available / 1_000_000
)]
pub struct TooLarge {
    /// Streams in memory.
    pub streams: u64,
    /// Bytes of one stream.
    pub per_stream: u64,
    /// Bytes of memory.
    pub available: u64,
}

/// Bytes that one stream needs: model state, prediction intervals, open time bins.
pub fn per_stream(bundle: &OpenModel, resampler: &ResamplerConfig, forecaster: &ForecasterConfig) -> u64 {
    let config = &bundle.meta().config;
    let state = bundle.state_bytes() as u64;
    let monitor = Monitor::bytes(&forecaster.monitor(config)) as u64;
    // Open, held by a source that is behind, and those of a pending clock jump.
    let bins = resampler.allowed_lateness_ms / resampler.interval_ms.max(1) + resampler.max_ahead.min(16) + 4;
    let open = bins.saturating_mul(OPEN_BIN_BYTES).saturating_add(VARIATE_BYTES) * config.variates as u64;
    state + monitor + open + STREAM_BYTES
}

/// Fails when the streams need more than this machine, or the control group of this process, has.
pub(super) fn check(streams: usize, per_stream: u64) -> Result<(), TooLarge> {
    check_against(streams as u64, per_stream, available())
}

fn check_against(streams: u64, per_stream: u64, available: Option<u64>) -> Result<(), TooLarge> {
    match available {
        Some(available) if streams.saturating_mul(per_stream) > available => Err(TooLarge {
            streams,
            per_stream,
            available,
        }),
        _ => Ok(()),
    }
}

/// Bytes of memory for this process; `None` where the operating system is not Linux.
fn available() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = total.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    let limit = cgroup_limit().unwrap_or(u64::MAX);
    Some((kilobytes * 1024).min(limit))
}

/// Limit of the control group, for example by `MemoryMax=` of a systemd unit.
fn cgroup_limit() -> Option<u64> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let limit = std::fs::read_to_string(format!("/sys/fs/cgroup/{path}/memory.max")).ok()?;
    limit.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_bundle_that_needs_a_gigabyte_per_stream_is_refused() {
        let gigabyte = 1 << 30;
        let error = check_against(1000, gigabyte, Some(4 * gigabyte)).unwrap_err().to_string();
        assert!(
            error.contains("1000 streams need 1073741 MB") && error.contains("state.max_streams_in_memory"),
            "{error}"
        );
        assert_eq!(check_against(4, gigabyte, Some(4 * gigabyte)), Ok(()));
        assert_eq!(check_against(u64::MAX, 2, None), Ok(()), "an unknown machine is not judged");
        assert!(check_against(u64::MAX, 2, Some(gigabyte)).is_err(), "no overflow");
    }
}
