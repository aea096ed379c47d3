//! Linear models in closed form.

pub mod head;
pub mod ridge;
pub mod step_groups;
