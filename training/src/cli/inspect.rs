//! `tsm2 inspect`: the contents of a model file and the resources it needs.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tsm2_bundle::{Bundle, Variate};

/// Show a model file: variates, sizes, memory and operations on a device, and the training it came from.
#[derive(Args)]
#[command(after_long_help = "Example:
  tsm2 inspect out/model.safetensors --json")]
pub struct Inspect {
    /// The model file
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Inspect {
    /// Prints what the file holds.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let bundle = Bundle::open(&self.bundle)?;
        let (meta, model) = (bundle.meta(), bundle.model());
        let bytes = std::fs::metadata(&self.bundle)?.len();
        let (step, forecast) = meta.config.operations();
        let parameters = bundle.numbers().len();
        let (state, scratch) = (4 * model.state_len(), 4 * model.scratch_len());
        if self.json {
            let object = json!({
                "file_bytes": bytes,
                "parameters": parameters,
                "state_bytes": state,
                "scratch_bytes": scratch,
                "operations": { "step": step, "forecast": forecast },
                "metadata": meta,
            });
            writeln!(out, "{object}")?;
            return Ok(());
        }
        let (config, from) = (&meta.config, &meta.provenance);
        // Plain lines: a decision may be longer than a terminal is wide.
        let mut lines = Vec::new();
        let mut row = |name: &str, value: String| lines.push(format!("{name:<18} {value}"));
        row("model", meta.name.clone());
        row("file", format!("{bytes} bytes, format {}", meta.format_version));
        row(
            "interval",
            meta.interval_ms.map_or("not known".into(), |ms| format!("{} s", ms as f64 / 1e3)),
        );
        row("forecast", format!("{} targets, {} steps", config.targets(), config.horizon));
        let names = |variates: &[Variate]| {
            let names: Vec<&str> = variates.iter().map(|variate| variate.name.as_str()).collect();
            names.join(", ")
        };
        if config.past_covariates > 0 {
            row("past covariates", names(meta.past_covariates()));
        }
        if config.future_covariates > 0 {
            row("future covariates", names(meta.future_covariates()));
        }
        if config.network.is_some_and(|network| network.calendar) || config.linear_head.calendar {
            let zone = bundle.zone().name().unwrap_or("UTC");
            row("calendar", format!("time of day and day of the week, {zone}"));
        }
        row("normalizer", format!("{:?}", config.normalizer));
        match config.network {
            None => row("network", "none".into()),
            Some(network) => {
                row(
                    "network",
                    format!(
                        "patches of {}, {} layers, d_model {}, {:?}",
                        network.patch, network.layers, network.d_model, network.time_mixer
                    ),
                );
                row("across variates", format!("{:?}", network.variate_mixer));
            }
        }
        row("linear head", format!("{:?}", config.linear_head));
        row("parameters", parameters.to_string());
        row("state", format!("{state} bytes a stream"));
        row("scratch", format!("{scratch} bytes"));
        row("multiply-adds", format!("{step} a step, {forecast} a forecast"));
        let [train, validation, test] = from.split;
        row(
            "trained on",
            format!("{}, rows {train} + {validation} validation + {test} test", from.data),
        );
        row("data SHA-256", from.data_sha256.clone());
        row("trained by", format!("version {}, seed {}", from.code_version, from.seed));
        if !from.held_out.is_empty() {
            row("held out", from.held_out.join(", "));
        }
        for (name, value) in &from.metrics {
            row(name, format!("{value:.5}"));
        }
        for decision in &from.decisions {
            row("decided", decision.clone());
        }
        writeln!(out, "{}", lines.join("\n"))?;

        let mut variates = super::common::printed(["variate", "unit", "training mean", "standard deviation"], 2);
        for variate in &meta.variates {
            variates.add_row([
                &variate.name,
                variate.unit.as_deref().unwrap_or(""),
                &variate.mean.to_string(),
                &variate.std.to_string(),
            ]);
        }
        writeln!(out, "{variates}")?;
        Ok(())
    }
}
