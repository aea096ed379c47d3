//! `tsm2 export`: a model for a microcontroller, as a flat file that firmware reads in place, and for other runtimes, as
//! an ONNX graph of one step.

use std::io::Write;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use serde_json::{Map, json};
use tsm2_blob::{ExportError, export};
use tsm2_bundle::Bundle;

use super::common::{at, note};

/// Write a model for a microcontroller's flash memory, or as an ONNX graph for other runtimes.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2 export out/model.safetensors --firmware model.bin
  tsm2 export out/model.safetensors --onnx model.onnx")]
pub struct Export {
    /// The model file
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The file to write for firmware; flash it at the board's address of the model
    #[arg(long, value_name = "FILE", required_unless_present = "onnx")]
    firmware: Option<PathBuf>,
    /// The ONNX file to write: one step as a graph, with its states as inputs and outputs
    #[arg(long, value_name = "FILE")]
    onnx: Option<PathBuf>,
    /// Fraction of the readings that the firmware's prediction intervals are to cover
    #[arg(long, default_value_t = 0.9)]
    coverage: f32,
    /// Print one JSON object: the files and their sizes
    #[arg(long)]
    json: bool,
}

impl Export {
    /// Writes the files and prints their sizes.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let bundle = Bundle::open(&self.bundle)?;
        let mut written = Map::new();
        if let Some(path) = &self.firmware {
            let bytes = export(&bundle, self.coverage).map_err(|error| match error {
                ExportError::Coverage { .. } => anyhow!("--coverage: {error}"),
                error => at(&self.bundle)(error),
            })?;
            std::fs::write(path, &bytes).map_err(at(path))?;
            if let Some(zone) = bundle.zone().name() {
                note(format_args!(
                    "the model reads the time of day in {zone}, and firmware reads UTC: every habit is shifted by the zone's offset; for firmware, train without --time-zone on times in UTC"
                ));
            }
            let (bytes, state, working) = (bytes.len(), bundle.state_bytes(), bundle.scratch_bytes());
            if !self.json {
                let file = path.display();
                writeln!(
                    out,
                    "{file}: {bytes} bytes of flash; {state} bytes of state and {working} bytes of working memory"
                )?;
            }
            let sizes = json!({ "file": path.display().to_string(), "bytes": bytes, "state_bytes": state, "working_bytes": working });
            written.insert("firmware".into(), sizes);
        }
        if let Some(path) = &self.onnx {
            let graph = tsm2_onnx::export(&bundle).map_err(at(&self.bundle))?;
            std::fs::write(path, &graph.bytes).map_err(at(path))?;
            let (bytes, operators, opset, state) = (graph.bytes.len(), graph.nodes, tsm2_onnx::OPSET, graph.state_len);
            if !self.json {
                let file = path.display();
                writeln!(
                    out,
                    "{file}: {bytes} bytes, {operators} operators (opset {opset}), {state} numbers of state"
                )?;
            }
            let sizes = json!({ "file": path.display().to_string(), "bytes": bytes, "operators": operators, "opset": opset, "state_numbers": state });
            written.insert("onnx".into(), sizes);
        }
        if self.json {
            writeln!(out, "{}", serde_json::Value::from(written))?;
        }
        Ok(())
    }
}
