//! The linear head: normalizer, features and ridge, selected on validation from second moments.
//!
//! For each candidate normalizer one pass over the training and validation rows gathers the moments of the widest feature
//! vector, per variate. Narrower features, shared or separate weights, anchors and ridges are then compared per step group
//! without another pass. All errors are in units of z, so candidates under different normalizers are comparable.

mod choose;
mod error;
mod features;
mod gather;
mod maps;
mod model;
mod select;

pub use choose::choose;
pub use error::LinearError;
pub use model::{LinearModel, normalizer_name};
