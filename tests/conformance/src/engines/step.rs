//! The device's step, time step by time step.

use tsm2_bundle::Bundle;
use tsm2_core::Model;

use crate::{Run, Stream, TimeStep};

/// A stream on its way through the device's step.
#[derive(Clone, Debug)]
pub struct Stepper<'b> {
    model: Model<'b>,
    /// The whole state of the stream; copying it out and in saves and restores the stream.
    pub state: Vec<f32>,
    /// Working memory; its contents between steps do not matter.
    pub scratch: Vec<f32>,
}

impl<'b> Stepper<'b> {
    /// A new stream.
    #[must_use]
    pub fn new(bundle: &'b Bundle) -> Self {
        let model = bundle.model();
        Self {
            state: vec![0.0; model.state_len()],
            scratch: vec![f32::NAN; model.scratch_len()],
            model,
        }
    }

    /// Consumes one time step and writes its forecast `[targets, H]`.
    ///
    /// # Panics
    /// When a length does not fit.
    pub fn step(&mut self, step: &TimeStep<'_>, forecast: &mut [f32]) {
        for (variate, values) in step.future() {
            self.model.set_future(&mut self.state, variate, values).expect("a future covariate");
        }
        let token = self.model.step(&mut self.state, &mut self.scratch, step.readings, step.time_ms);
        token.expect("lengths fit").forecast(forecast).expect("length fits");
    }

    /// The state without the preprocessor's part.
    #[must_use]
    pub fn recurrent(&self) -> &[f32] {
        &self.state[self.model.preprocessor().state_len()..]
    }
}

/// A whole stream from a zero state.
pub fn run(bundle: &Bundle, stream: &Stream) -> Run {
    let mut stepper = Stepper::new(bundle);
    let mut forecast = vec![0.0; bundle.meta().config.forecast_len()];
    let mut run = Run::default();
    for step in stream.steps(bundle) {
        stepper.step(&step, &mut forecast);
        run.forecasts.extend_from_slice(&forecast);
    }
    run.state = stepper.recurrent().to_vec();
    run
}
