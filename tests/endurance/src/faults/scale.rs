//! The scale of the suite, and the end that most scenarios share.

use crate::result::{Epoch, FaultResult};
use crate::test_bed::TestBed;

/// How much of each fault.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Seed of all rng.
    pub seed: u64,
    /// How often the daemon is killed.
    pub kills: u32,
    /// How often a broker is restarted, a connection cut, a file damaged.
    pub times: u32,
    /// Rows of three streams in scenarios that run through.
    pub rows: i64,
    /// Milliseconds that a connection stands before the next fault hits it. Ten seconds and the daemon takes it for a good one and returns
    /// soonest after the next fault; less and it waits longer each time.
    pub standing_ms: u64,
    /// Seconds of a stall. More than 30 s without a heartbeat makes a thread of the daemon count as
    /// stalled.
    pub stall_s: u64,
    /// Whether a small file system may be mounted.
    pub may_mount: bool,
}

impl Scale {
    /// The whole suite.
    pub fn full(seed: u64, kills: u32) -> Self {
        Scale {
            seed,
            kills,
            times: 8,
            rows: 1000,
            standing_ms: 10_500,
            stall_s: 40,
            may_mount: true,
        }
    }

    /// A short one, for `cargo test`.
    pub fn short(seed: u64) -> Self {
        Scale {
            seed,
            kills: 4,
            times: 2,
            rows: 60,
            standing_ms: 300,
            stall_s: 3,
            may_mount: false,
        }
    }
}

/// Waits until the daemon has forecast the last row, stops it, and weighs one epoch of `rows` rows.
pub(super) async fn finish(mut bed: TestBed, fault: &str, how: String, rows: i64) -> FaultResult {
    let mut result = FaultResult {
        fault: fault.into(),
        how,
        ..FaultResult::default()
    };
    let arrived = bed.has_forecast(rows - 1, 0).await;
    result.require(arrived, "the last row has no forecast");
    bed.stop_daemon().await;
    result.weigh(&bed, &Epoch::until(rows), &bed.stored());
    result.recovery_s = bed.recoveries();
    result
}
