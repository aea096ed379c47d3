//! The fault suite: one scenario per fault, each with a broker, a link and a daemon of its own.
//!
//! Invariant: a scenario ends with a clean stop of the daemon, and its [`FaultResult`] is made of what the recorder saw and the state file counts.

mod brokers;
mod clocks;
mod damage;
mod disk;
mod kills;
mod links;
mod payloads;
mod restarts;

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

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// `kill -9` of the daemon at random moments.
    Kill,
    /// The broker restarts and keeps its sessions and messages.
    BrokerRestart,
    /// The broker dies and forgets everything.
    BrokerForgets,
    /// Connections die without FIN or RST.
    HalfOpen,
    /// A few kilobytes per second.
    Slow,
    /// Connections break within packets.
    Cut,
    /// Every piece comes later, by a random time.
    Delay,
    /// Payloads larger than allowed.
    Oversize,
    /// A flood of payloads that are no readings.
    Malformed,
    /// No room for the state.
    DiskFull,
    /// A state file that cannot be written.
    DiskReadOnly,
    /// Bytes of the stored state changed.
    StateCorrupt,
    /// The stored state cut short.
    StateTruncated,
    /// Clocks of sensors that jump far ahead and back.
    ClockJumps,
    /// A clock that is a few time steps ahead, once.
    ShortClockJump,
    /// A broker that stops answering, and then goes on.
    Stall,
    /// Clean stops under load.
    Stop,
    /// Reloads under load.
    Reload,
}

impl Fault {
    /// Makes it happen.
    pub async fn run(self, scale: &Scale) -> FaultResult {
        match self {
            Fault::Kill => kills::kill(scale).await,
            Fault::BrokerRestart => brokers::restart(scale).await,
            Fault::BrokerForgets => brokers::forget(scale).await,
            Fault::HalfOpen => links::half_open(scale).await,
            Fault::Slow => links::slow(scale).await,
            Fault::Cut => links::cut(scale).await,
            Fault::Delay => links::delay(scale).await,
            Fault::Oversize => payloads::oversize(scale).await,
            Fault::Malformed => payloads::malformed(scale).await,
            Fault::DiskFull => disk::full(scale).await,
            Fault::DiskReadOnly => disk::read_only(scale).await,
            Fault::StateCorrupt => damage::corrupt(scale).await,
            Fault::StateTruncated => damage::truncated(scale).await,
            Fault::ClockJumps => clocks::jumps(scale).await,
            Fault::ShortClockJump => clocks::short_jump(scale).await,
            Fault::Stall => links::stall(scale).await,
            Fault::Stop => restarts::stop(scale).await,
            Fault::Reload => restarts::reload(scale).await,
        }
    }
}

/// Waits until the daemon has forecast the last row, stops it, and weighs one epoch of `rows` rows.
async fn finish(mut bed: TestBed, fault: &str, how: String, rows: i64) -> FaultResult {
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
