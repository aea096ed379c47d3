//! `tsm2 export`: a model for a microcontroller, as a flat file that firmware reads in place.

use std::io::Write;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use tsm2_blob::{ExportError, export};
use tsm2_bundle::Bundle;

use super::common::at;

/// Write a model as a flat file for a microcontroller's flash memory.
#[derive(Args)]
#[command(after_long_help = "Example:
  tsm2 export out/model.safetensors --firmware model.bin")]
pub struct Export {
    /// The model file
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The file to write; flash it at the board's address of the model
    #[arg(long, value_name = "FILE")]
    firmware: PathBuf,
    /// Fraction of the readings that the prediction intervals are to cover
    #[arg(long, default_value_t = 0.9)]
    coverage: f32,
}

impl Export {
    /// Writes the file and prints its size.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let bundle = Bundle::open(&self.bundle)?;
        let bytes = export(&bundle, self.coverage).map_err(|error| match error {
            ExportError::Coverage { .. } => anyhow!("--coverage: {error}"),
            error => at(&self.bundle)(error),
        })?;
        std::fs::write(&self.firmware, &bytes).map_err(at(&self.firmware))?;
        writeln!(
            out,
            "{}: {} bytes of flash; {} bytes of state and {} bytes of working memory",
            self.firmware.display(),
            bytes.len(),
            bundle.state_bytes(),
            bundle.scratch_bytes()
        )?;
        Ok(())
    }
}
