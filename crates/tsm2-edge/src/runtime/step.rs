//! What leaves the engine for each time step.

use tsm2_stream::Monitor;

/// A time step and what the model makes of it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Step<'a> {
    /// Name of the stream.
    pub stream: &'a str,
    /// Time of the time bin, milliseconds since 1970-01-01 UTC.
    pub time_ms: i64,
    /// Time of the last reading used; `None` for a step that bridges a gap.
    pub last_reading_ms: Option<i64>,
    /// The time step, NaN where missing. Shape `[M]`.
    pub values: &'a [f32],
    /// The forecast in the sensors' units; step 0 is the next time step. Shape `[targets][H]`.
    pub mean: &'a [f32],
    /// Lower bounds, shape `[targets][H]`.
    pub lower: &'a [f32],
    /// Upper bounds, shape `[targets][H]`.
    pub upper: &'a [f32],
    /// Evaluation of earlier forecasts, once in a horizon of time steps.
    pub metrics: Option<&'a Monitor>,
}
