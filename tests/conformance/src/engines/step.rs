//! The device's step, row by row.

use tsm2_bundle::Bundle;
use tsm2_core::Model;

use crate::{Row, Run, Stream};

/// A stream on its way through the device's step.
#[derive(Clone, Debug)]
pub struct Stepper<'b> {
    model: Model<'b>,
    /// All that the stream is; copying it out and in saves and restores it.
    pub state: Vec<f32>,
    /// Working memory; what it holds between steps does not matter.
    pub scratch: Vec<f32>,
}

impl<'b> Stepper<'b> {
    /// A stream that has seen nothing.
    #[must_use]
    pub fn new(bundle: &'b Bundle) -> Self {
        let model = bundle.model();
        Self {
            state: vec![0.0; model.state_len()],
            scratch: vec![f32::NAN; model.scratch_len()],
            model,
        }
    }

    /// Consumes one row; says whether a forecast was issued and written to `forecast` `[M - X, H]`.
    ///
    /// # Panics
    /// When a length does not fit.
    pub fn step(&mut self, row: &Row<'_>, forecast: &mut [f32]) -> bool {
        for (variate, values) in row.told() {
            self.model.foretell(&mut self.state, variate, values).expect("known ahead");
        }
        let token = self.model.step(&mut self.state, &mut self.scratch, row.readings, row.time_ms);
        match token.expect("lengths fit") {
            Some(mut token) => {
                token.forecast(forecast).expect("length fits");
                true
            }
            None => false,
        }
    }

    /// The state without the front end's part.
    #[must_use]
    pub fn recurrent(&self) -> &[f32] {
        &self.state[self.model.front().state_len()..]
    }
}

/// A whole stream from a zero state.
pub fn run(bundle: &Bundle, stream: &Stream) -> Run {
    let config = &bundle.meta().config;
    let mut stepper = Stepper::new(bundle);
    let mut forecast = vec![0.0; config.forecast_len()];
    let mut run = Run::default();
    for (t, row) in stream.rows(bundle).enumerate() {
        if stepper.step(&row, &mut forecast) {
            run.issued.push(t);
            run.forecasts.extend_from_slice(&forecast);
        }
    }
    run.state = Some(stepper.recurrent().to_vec());
    run
}
