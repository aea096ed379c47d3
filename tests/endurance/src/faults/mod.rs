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
mod scale;

pub use scale::Scale;

use crate::result::FaultResult;

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
    /// Streams that come and go.
    Names,
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
            Fault::Names => restarts::names(scale).await,
        }
    }
}
