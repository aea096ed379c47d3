//! Reference pages generated from the definitions of keys and metrics.

use std::fmt::Write;

use super::broker::{Broker, Tls};
use super::file::ENV_PREFIX;
use super::home_assistant::HomeAssistant;
use super::http::Http;
use super::input::Input;
use super::log::Log;
use super::model::Model;
use super::output::Output;
use super::record::Record;
use super::section::Section;
use super::source::{Source, Value};
use super::state::State;
use crate::observe::Metrics;
use crate::observe::REASONS;

/// Longest line of a paragraph.
const WIDTH: usize = 100;

/// All sections, in the order of the reference page.
pub fn sections() -> Vec<Section> {
    vec![
        Broker::section(),
        Tls::section(),
        Model::section(),
        Input::section(),
        Source::section(),
        Value::section(),
        Output::section(),
        HomeAssistant::section(),
        State::section(),
        Record::section(),
        Http::section(),
        Log::section(),
    ]
}

/// `docs/reference/configuration.md`.
pub fn configuration() -> String {
    let mut page = String::from(GENERATED);
    page.push_str("# Configuration of `tsm2-edge run`\n\n");
    for paragraph in [
        "The configuration is one TOML file. `tsm2-edge validate FILE` checks it without connecting. A complete \
         example with comments is [tsm2-edge.toml](../../firmware/linux/tsm2-edge.toml).",
        "Unknown keys and values of the wrong type are rejected with the path of the key.",
    ] {
        let _ = writeln!(page, "{}\n", wrapped(paragraph, ""));
    }
    for item in [
        &*format!(
            "An environment variable `{ENV_PREFIX}SECTION__KEY` overrides a key; for a variate it is \
             `{ENV_PREFIX}INPUT__FIELDS__name`, with the name as it is written."
        ),
        "Paths are relative to the file. Paths of keys that end in `_file` may begin with \
         `$CREDENTIALS_DIRECTORY/`, where systemd puts the files of `LoadCredential=`.",
        "SIGHUP makes the daemon read the file and the model again. A configuration that cannot be used changes \
         nothing. Changes of `http` and `log` take effect at the next start.",
    ] {
        let _ = writeln!(page, "- {}", wrapped(item, "  "));
    }
    for section in sections() {
        let _ = write!(page, "\n## `[{}]`\n\n{}\n\n", section.path, wrapped(&section.about, ""));
        page.push_str("| key | default | meaning |\n|---|---|---|\n");
        for key in &section.keys {
            let _ = writeln!(page, "| `{}` | {} | {} |", key.name, key.default, key.meaning);
        }
        let _ = write!(page, "\n```toml\n{}```\n", section.example);
    }
    page
}

/// `docs/reference/metrics.md`.
pub fn metrics() -> String {
    let mut page = String::from(GENERATED);
    page.push_str("# Metrics of `tsm2-edge run`\n\n");
    for paragraph in [
        "`/metrics` shows these metrics in the text format of Prometheus; a section `http` in the configuration \
         turns it on ([operate the daemon](../how-to/operate.md#health-and-metrics-over-http), with alerts and a \
         dashboard).",
        "Counters start at 0 with the process. The number of series does not grow with the number of streams. \
         The label `step` shows the first, the middle and the last step of the horizon.",
    ] {
        let _ = writeln!(page, "{}\n", wrapped(paragraph, ""));
    }
    page.push_str("| metric | labels | type | meaning |\n|---|---|---|---|\n");
    for metric in Metrics::new().definitions() {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            metric.name,
            labels.join(", "),
            metric.kind,
            metric.help
        );
    }
    page.push_str("\n## Reasons of `tsm2_edge_rejected_total`\n\n| reason | meaning |\n|---|---|\n");
    for (reason, meaning) in REASONS {
        let _ = writeln!(page, "| `{reason}` | {meaning} |");
    }
    page
}

const GENERATED: &str = "<!-- Generated from the source. Do not edit; run: UPDATE_DOCS=1 cargo test -p tsm2-edge --test reference -->\n\n";

/// Breaks a paragraph into lines; further ones begin with `indent`.
fn wrapped(paragraph: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let line = lines.last_mut().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > WIDTH - 2 {
            lines.push(indent.to_owned());
        }
        if let Some(line) = lines.last_mut() {
            if !line.trim().is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}
