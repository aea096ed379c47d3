//! Linear models in closed form.

pub mod readout;
pub mod ridge;
