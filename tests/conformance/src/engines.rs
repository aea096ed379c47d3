//! Whatever runs models: one line per engine, with how far it may stray from the reference.

mod parallel;
mod step;

use tsm2_bundle::Bundle;

use crate::{Run, Stream};

pub use parallel::Parallel;
pub use step::Stepper;

/// A way to run models.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// Name in reports.
    pub name: &'static str,
    /// Largest deviation from the expected forecasts and state, relative to their scale.
    pub tolerance: f64,
    /// Runs a stream from a zero state.
    pub run: fn(&Bundle, &Stream) -> Run,
}

/// The device's step.
pub const STEP: Engine = Engine {
    name: "core step",
    tolerance: 1e-5,
    run: step::run,
};

/// The trainer's parallel form on the CPU.
pub const PARALLEL: Engine = Engine {
    name: "candle parallel",
    tolerance: 1e-5,
    run: parallel::run,
};

/// Every engine.
pub const ENGINES: &[Engine] = &[STEP, PARALLEL];
