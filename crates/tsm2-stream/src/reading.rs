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
    /// When the reading arrived, by the receiver's clock, in milliseconds since 1970-01-01 UTC. A
    /// second witness of the time, for readings with a time of their own; `None` where it is no
    /// witness, as for a stored reading.
    pub arrival_ms: Option<i64>,
}

impl Reading {
    /// A reading of which only its own time is known.
    pub fn at(variate: usize, value: f32, time_ms: i64) -> Self {
        Reading {
            variate,
            value,
            time_ms,
            arrival_ms: None,
        }
    }
}
