//! What a grid says, in a form that compares.
#![allow(dead_code, reason = "not every test needs everything")]

use tsm2_stream::{Aggregate, Event, Grid, GridConfig, Reading, Refused};

pub const MINUTE: i64 = 60_000;

/// An event, NaN written as None.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Row(i64, Vec<Option<f32>>),
    Restart(i64, i64),
    LeapDropped(i64, u64),
}

/// A row a minute.
pub fn config(variates: usize, max_gap: u64) -> GridConfig {
    GridConfig::new(variates, MINUTE as u64, max_gap)
}

pub fn grid(variates: usize, max_gap: u64) -> Grid {
    Grid::new(config(variates, max_gap)).unwrap()
}

/// A grid of as many variates as there are aggregations.
pub fn late_grid(aggregates: &[Aggregate], lateness_ms: u64) -> Grid {
    let mut config = config(aggregates.len(), 10);
    (config.aggregates, config.lateness_ms) = (aggregates.to_vec(), lateness_ms);
    Grid::new(config).unwrap()
}

pub fn push(grid: &mut Grid, variate: usize, value: f32, time_ms: i64) -> Result<Vec<Said>, Refused> {
    let mut said = Vec::new();
    grid.push(Reading { variate, value, time_ms }, |event| {
        said.push(match event {
            Event::Row(row) => Said::Row(row.time_ms, row.values.iter().map(|&v| (!v.is_nan()).then_some(v)).collect()),
            Event::Restart { last_ms, next_ms } => Said::Restart(last_ms, next_ms),
            Event::LeapDropped { time_ms, readings } => Said::LeapDropped(time_ms, readings),
            _ => panic!("an event this test does not know"),
        });
    })?;
    Ok(said)
}
