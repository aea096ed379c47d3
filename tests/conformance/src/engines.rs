//! The engines: one line each, with tolerances and exceptions.

#[cfg(feature = "parallel")]
mod parallel;
mod step;
#[cfg(feature = "onnx")]
mod tract;

use tsm2_bundle::Bundle;

use crate::tolerance::Tolerance;
use crate::{Run, Stream};

#[cfg(feature = "parallel")]
pub use parallel::Parallel;
pub use step::Stepper;
#[cfg(feature = "onnx")]
pub use tract::{Graph, recurrent};

/// A way to run models.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// Name in reports.
    pub name: &'static str,
    /// Tolerance of every case that is not among the exceptions.
    pub tolerance: Tolerance,
    /// Cases with another tolerance: name, tolerance, reason.
    pub exceptions: &'static [(&'static str, Tolerance, &'static str)],
    /// Runs a stream from a zero state.
    pub run: fn(&Bundle, &Stream) -> Run,
}

impl Engine {
    /// The tolerance of a case.
    #[must_use]
    pub fn tolerance(&self, case: &str) -> Tolerance {
        let exception = self.exceptions.iter().find(|(name, ..)| *name == case);
        exception.map_or(self.tolerance, |&(_, tolerance, _)| tolerance)
    }
}

/// Samples stand at the limits of the input range; the selection's fourth power carries one rounding error into further
/// digits of the state.
const EXTREME: &[(&str, Tolerance, &str)] = &[("extreme_readings", Tolerance::Loose, "samples at the limits of the input range")];

/// The device's step.
pub const STEP: Engine = Engine {
    name: "core step",
    tolerance: Tolerance::Close,
    exceptions: EXTREME,
    run: step::run,
};

/// The trainer's parallel form on the CPU.
#[cfg(feature = "parallel")]
pub const PARALLEL: Engine = Engine {
    name: "candle parallel",
    tolerance: Tolerance::Close,
    exceptions: EXTREME,
    run: parallel::run,
};

/// The exported ONNX graph in tract.
#[cfg(feature = "onnx")]
pub const TRACT: Engine = Engine {
    name: "onnx in tract",
    tolerance: Tolerance::Close,
    exceptions: EXTREME,
    run: tract::run,
};

/// Every engine.
pub const ENGINES: &[Engine] = &[
    STEP,
    #[cfg(feature = "parallel")]
    PARALLEL,
    #[cfg(feature = "onnx")]
    TRACT,
];
