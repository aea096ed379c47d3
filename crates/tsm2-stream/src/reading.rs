//! Reading: one sensor's value at one moment.

/// One sensor's value at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Index of the variate in the model's order, 0..M.
    pub variate: usize,
    /// Value in the sensor's own unit; one that is not finite means that the sensor sent no number.
    pub value: f32,
    /// Milliseconds since 1970-01-01 UTC.
    pub time_ms: i64,
}
