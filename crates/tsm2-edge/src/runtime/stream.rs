//! One stream: readings -> time steps -> forecasts. The one way of a reading, live and in replay.

use tsm2_stream::{
    Accepted, Counts, Event, Forecast, ForecastModel as _, Forecaster, ForecasterConfig, FutureCovariate, Monitor, Reading, Rejected,
    Resampler, TimeStep, Workspace,
};

use crate::model::{StepError, Stepper};
use crate::runtime::record::Entry;

/// What all streams of a worker share.
pub(crate) struct Shared<'s> {
    pub(crate) model: Stepper<'s>,
    pub(crate) config: ForecasterConfig,
    pub(crate) workspace: Workspace,
}

/// See the module's description.
pub(crate) struct Stream {
    pub(crate) resampler: Resampler,
    pub(crate) forecaster: Forecaster,
    /// Wall clock at the last message, milliseconds since 1970-01-01 UTC.
    pub(crate) heard_ms: i64,
    /// The time of arrival that the last message was given.
    pub(crate) arrived_ms: i64,
    /// The log since the last checkpoint.
    pub(crate) tail: Tail,
    /// The batch with the newest entry; the stream may leave the memory once it is durable.
    pub(crate) batch: u64,
    /// Whether the stored checkpoint is another model's.
    pub(crate) needs_checkpoint: bool,
}

/// Length of a stream's log since its last checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) entries: u64,
    pub(crate) time_steps: u64,
}

/// What a reading led to, in order.
pub(crate) enum Outcome<'a> {
    /// A time step and its forecast.
    TimeStep {
        step: TimeStep<'a>,
        forecast: Forecast<'a>,
        /// Once in a horizon of time steps: the evaluation of earlier forecasts.
        metrics: Option<&'a Monitor>,
    },
    /// The stream starts over.
    Restart { last_ms: i64, next_ms: i64 },
    /// Readings far from the stream were confirmed.
    ClockMoved { last_ms: i64, next_ms: i64 },
    /// Readings far from the stream were dropped.
    ClockJump { time_ms: i64, readings: u64, is_behind: bool },
    /// The model could not take a time step.
    Failed(StepError),
}

impl Stream {
    /// A stream with a blank forecaster.
    pub(crate) fn new(resampler: Resampler, forecaster: Forecaster) -> Self {
        Stream {
            resampler,
            forecaster,
            heard_ms: i64::MIN,
            arrived_ms: i64::MIN,
            tail: Tail::default(),
            batch: 0,
            needs_checkpoint: false,
        }
    }

    /// Takes one reading; `on` is called for each outcome before this returns.
    ///
    /// # Errors
    /// Why the reading changed nothing.
    pub(crate) fn push(
        &mut self,
        shared: &mut Shared<'_>,
        reading: Reading,
        on: &mut dyn FnMut(Outcome<'_>),
    ) -> Result<Accepted, Rejected> {
        let Shared { model, workspace, .. } = shared;
        let horizon = model.config().horizon as u64;
        let Counts { mut time_steps, .. } = self.resampler.counts();
        let (forecaster, tail) = (&mut self.forecaster, &mut self.tail);
        self.resampler.push(reading, |event| match event {
            Event::TimeStep(step) => {
                tail.time_steps += 1;
                let is_heard = step.last_reading_ms.is_some();
                time_steps += u64::from(is_heard);
                match forecaster.step(model, workspace, &step) {
                    Ok(forecast) => on(Outcome::TimeStep {
                        step,
                        forecast,
                        metrics: (is_heard && time_steps.is_multiple_of(horizon)).then(|| forecaster.monitor()),
                    }),
                    Err(error) => on(Outcome::Failed(error)),
                }
            }
            Event::Restart { last_ms, next_ms } => {
                forecaster.restart();
                on(Outcome::Restart { last_ms, next_ms });
            }
            Event::ClockJumpConfirmed { last_ms, next_ms } => on(Outcome::ClockMoved { last_ms, next_ms }),
            Event::ClockJumpDropped {
                time_ms,
                readings,
                is_behind,
            } => on(Outcome::ClockJump {
                time_ms,
                readings,
                is_behind,
            }),
            _ => {}
        })
    }

    /// Replaces the future values of a variate.
    ///
    /// # Errors
    /// The variate is not a future covariate.
    pub(crate) fn set_future(&mut self, shared: &Shared<'_>, variate: usize, points: Vec<(i64, f32)>) -> Result<(), StepError> {
        self.forecaster.set_future(&shared.model, variate, FutureCovariate::new(points))
    }

    /// Takes an entry of the log again. `on` is called for each outcome.
    pub(crate) fn replay(&mut self, shared: &mut Shared<'_>, entry: Entry, on: &mut dyn FnMut(Outcome<'_>)) {
        self.tail.entries += 1;
        for reading in entry.readings() {
            // What was accepted once is accepted again; another configuration may reject it.
            let _ = self.push(shared, reading, on);
        }
        if let Entry::FutureCovariate { variate, points } = entry {
            let _ = self.set_future(shared, variate as usize, points);
        }
    }
}
