//! Events of a resampler in a form that compares, and snapshots as bytes.
#![allow(dead_code, reason = "not every test needs everything")]

use tsm2_stream::{Accepted, Aggregate, Event, Reading, Rejected, Resampler, ResamplerConfig, ResamplerError};

pub const MINUTE: i64 = 60_000;

/// An event, NaN written as None.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnedEvent {
    TimeStep(i64, Vec<Option<f32>>),
    Restart(i64, i64),
    ClockJumpDropped(i64, u64),
}

/// A time step a minute.
pub fn config(variates: usize, max_gap: u64) -> ResamplerConfig {
    ResamplerConfig::new(variates, MINUTE as u64, max_gap)
}

pub fn resampler(variates: usize, max_gap: u64) -> Resampler {
    Resampler::new(config(variates, max_gap)).unwrap()
}

/// A resampler of as many variates as there are aggregates.
pub fn late_resampler(aggregates: &[Aggregate], allowed_lateness_ms: u64) -> Resampler {
    let mut config = config(aggregates.len(), 10);
    (config.aggregates, config.allowed_lateness_ms) = (aggregates.to_vec(), allowed_lateness_ms);
    Resampler::new(config).unwrap()
}

/// The events that a reading caused.
pub fn push(resampler: &mut Resampler, variate: usize, value: f32, time_ms: i64) -> Result<Vec<OwnedEvent>, Rejected> {
    let mut events = Vec::new();
    push_reading(resampler, Reading::at(variate, value, time_ms), &mut events)?;
    Ok(events)
}

/// Appends the events that a reading caused, without the confirmation of a clock jump.
pub fn push_reading(resampler: &mut Resampler, reading: Reading, events: &mut Vec<OwnedEvent>) -> Result<Accepted, Rejected> {
    resampler.push(reading, |event| {
        events.push(match event {
            Event::TimeStep(step) => OwnedEvent::TimeStep(step.time_ms, step.values.iter().map(|&v| (!v.is_nan()).then_some(v)).collect()),
            Event::Restart { last_ms, next_ms } => OwnedEvent::Restart(last_ms, next_ms),
            Event::ClockJumpDropped { time_ms, readings, .. } => OwnedEvent::ClockJumpDropped(time_ms, readings),
            Event::ClockJumpConfirmed { .. } => return,
            _ => panic!("an event this test does not know"),
        });
    })
}

/// The resampler's snapshot as bytes.
pub fn save(resampler: &Resampler) -> Vec<u8> {
    postcard::to_allocvec(&resampler.snapshot()).unwrap()
}

/// The resampler of a snapshot's bytes, of which none may be left over.
pub fn restore(config: ResamplerConfig, bytes: &[u8]) -> Result<Resampler, ResamplerError> {
    match postcard::take_from_bytes(bytes) {
        Ok((snapshot, [])) => Resampler::restore(config, snapshot),
        _ => Err(ResamplerError::Snapshot),
    }
}
