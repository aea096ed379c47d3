//! What a model needs: memory, operations, time.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use crate::data::table::Table;
use crate::evaluate::{EvaluateError, run};
use crate::model::OpenModel;

/// Time steps that are timed, at most.
const TIMED: usize = 512;

/// A device that models run on.
#[derive(Debug, Clone, Copy)]
pub struct Device {
    /// Its name.
    pub name: &'static str,
    /// Multiply-adds a second that are expected of one core.
    pub rate: f64,
}

/// Devices by name. Boards with Linux: one multiply-add in a cycle of one core. Cortex-M: a multiply-add in ten cycles, after
/// `docs/data/firmware.csv`.
pub const DEVICES: [Device; 5] = [
    Device {
        name: "Raspberry Pi 5, 2.4 GHz",
        rate: 2.4e9,
    },
    Device {
        name: "Raspberry Pi 4, 1.8 GHz",
        rate: 1.8e9,
    },
    Device {
        name: "Raspberry Pi Zero 2 W, 1 GHz",
        rate: 1.0e9,
    },
    Device {
        name: "Cortex-M7, 480 MHz",
        rate: 48.0e6,
    },
    Device {
        name: "Cortex-M4F, 120 MHz",
        rate: 12.0e6,
    },
];

/// What a model needs.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// Bytes of the model file.
    pub file_bytes: u64,
    /// Numbers in the model; not known of an ONNX graph.
    pub parameters: Option<usize>,
    /// Bytes of a stream's state.
    pub state_bytes: usize,
    /// Bytes of working memory that all streams of a thread share.
    pub scratch_bytes: usize,
    /// Multiply-adds of a time step without the forecast; not known of an ONNX graph.
    pub step_operations: Option<u64>,
    /// Multiply-adds of a forecast; not known of an ONNX graph.
    pub forecast_operations: Option<u64>,
    /// Seconds of a time step with its forecast, on this machine.
    pub seconds_here: f64,
}

impl Cost {
    /// Reads the sizes, and times some time steps.
    pub(super) fn measure(path: &Path, bundle: &OpenModel, table: &Table) -> Result<Self, EvaluateError> {
        let (config, model) = (&bundle.meta().config, bundle.model());
        let operations = (!bundle.is_graph()).then(|| config.operations());
        let rows = table.runs.run_of(0).len().min(TIMED);
        let mut out = vec![0.0; config.forecast_len()];
        let start = Instant::now();
        run(&model, table, 0..rows, |_, token| token.forecast(&mut out))?;
        let seconds_here = start.elapsed().as_secs_f64() / rows.max(1) as f64;
        Ok(Cost {
            file_bytes: std::fs::metadata(path).map_or(0, |file| file.len()),
            parameters: (!bundle.is_graph()).then(|| bundle.numbers().len()),
            state_bytes: model.state_len() * size_of::<f32>(),
            scratch_bytes: model.scratch_len() * size_of::<f32>(),
            step_operations: operations.map(|(step, _)| step as u64),
            forecast_operations: operations.map(|(_, forecast)| forecast as u64),
            seconds_here,
        })
    }

    /// Seconds of a time step with its forecast that are expected on a device, where the operations are known.
    #[must_use]
    pub fn expected(&self, device: &Device) -> Option<f64> {
        Some((self.step_operations? + self.forecast_operations?) as f64 / device.rate)
    }
}
