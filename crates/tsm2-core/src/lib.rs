//! The TSM2 forecaster as a recurrence: `no_std`, no allocation, one step per row of readings.
#![no_std]

pub mod math;
