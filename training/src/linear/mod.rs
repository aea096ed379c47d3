//! Linear models in closed form.

pub mod head;
pub mod ridge;
