//! Without the feature `onnx` there are no graphs.

use std::path::Path;

use tsm2_bundle::{Bundle, BundleError};
use tsm2_core::Config;

/// A graph, of which there is none.
#[derive(Debug, Clone, Copy)]
pub enum GraphModel {}

/// There are no graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an ONNX graph, and this program was built without the feature `onnx`; build it with --features onnx, or name a bundle")]
pub struct GraphError;

impl GraphModel {
    pub(super) fn open(_: &Path) -> Result<Self, GraphError> {
        Err(GraphError)
    }

    pub(super) fn stand_in(&self) -> Result<Bundle, BundleError> {
        match *self {}
    }

    pub(super) fn config(&self) -> &Config {
        match *self {}
    }

    pub(super) fn states(&self) -> String {
        match *self {}
    }

    pub(super) fn state_len(&self) -> usize {
        match *self {}
    }

    pub(super) fn set_future(&self, _: &mut [f32], _: usize, _: &[f32]) -> Result<(), GraphError> {
        match *self {}
    }

    pub(super) fn step(&self, _: &mut [f32], _: &[f32], _: i64, _: &mut [f32]) -> Result<(), GraphError> {
        match *self {}
    }
}
