//! How much memory a piece of work took, as Linux tells it.

use std::fs;

/// Runs `work`; with its result, the bytes by which the process was at most larger than when it began. Nothing where the system does not tell.
///
/// What an allocator held back from earlier work and gives out again is not counted, so let the larger work come later.
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, Option<u64>) {
    // 5: forget the greatest size so far (proc(5)).
    let told = fs::write("/proc/self/clear_refs", "5").is_ok();
    let before = status("VmRSS:");
    let result = work();
    let after = status("VmHWM:").filter(|_| told);
    (result, after.zip(before).map(|(after, before)| after.saturating_sub(before)))
}

/// A size in the process's status, in bytes.
fn status(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| 1024 * kib)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn what_work_takes_is_seen_even_if_it_gives_it_back() {
        let (sum, bytes) = peak(|| vec![1u8; 256 << 20].iter().map(|x| u64::from(*x)).sum::<u64>());
        assert_eq!(sum, 256 << 20);
        // Sandboxes may hide the process's own size; where it is told, it is right.
        if let Some(bytes) = bytes {
            assert!(bytes > 200 << 20, "{bytes}");
        }
    }
}
