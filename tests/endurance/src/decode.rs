//! What reading a message costs: each form of payload beside a plain JSON parser, and beside the whole
//! way from the message to the forecast. All in one process and in turn, so that the ratios hold on a
//! machine that does other things.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;
use tsm2_e2e::bundle;
use tsm2_e2e::engine::TestEngine;
use tsm2_e2e::site::{MINUTE, START};
use tsm2_edge::config::{Config, Prepared, prepare};
use tsm2_mqtt::{Decoder, Payload};

use crate::table::Row;

/// Messages between two looks at the clock.
const MESSAGES: u32 = 2000;

/// The forms: name, keys of the source, payload with one reading. `T` stands for seconds since 1970.
const FORMS: [(&str, &str, &str); 6] = [
    ("short form", "", r#"{"t":T,"v":21.53}"#),
    (
        "`$.v`, a JSONPath",
        "time_field = 't'\nvalues = { v = '$.v' }",
        r#"{"t":T,"v":21.53}"#,
    ),
    (
        "a list of tags by name, with a condition",
        "readings = 'values'\nvariate_field = 'id'\nvalue = 'v'\ntime_field = 't'\nwhere = { q = true }\nvalues = ['v']",
        r#"{"values":[{"id":"v","v":21.53,"q":true,"t":T}]}"#,
    ),
    (
        "the same by a JSONPath with a filter",
        "time_field = 'values.0.t'\nvalues = { v = \"$.values[?@.id == 'v' && @.q == true].v\" }",
        r#"{"values":[{"id":"v","v":21.53,"q":true,"t":T}]}"#,
    ),
    (
        "text with a unit",
        "time_field = 't'\nvalues = { v = { path = 'v', unit = '%' } }",
        r#"{"t":T,"v":"21.53 %"}"#,
    ),
    (
        "line protocol",
        "format = 'influx'\nvalues = ['v']",
        "w,site=roof v=21.53 T000000000",
    ),
];

/// The cost of one form.
#[derive(Debug, Clone)]
pub struct Cost {
    /// The form.
    pub form: String,
    /// Of one message.
    pub time: Duration,
    /// In units of a plain JSON parser, and of the whole way of the short form.
    pub ratios: [f64; 2],
}

impl Row for Cost {
    const COLUMNS: &'static [&'static str] = &["form", "ns", "of a plain JSON parser", "of the whole way"];

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.form.clone(), self.time.as_nanos().to_string()];
        cells.extend(self.ratios.map(|ratio| format!("{ratio:.2}")));
        cells
    }
}

/// Measures all forms.
///
/// # Errors
/// No temporary folder, or a form that is not read.
pub fn run(rounds: u32) -> anyhow::Result<Vec<Cost>> {
    let folder = tempfile::tempdir()?;
    bundle::random(folder.path(), "m", &["v"], 4, Some(MINUTE as u64));
    let prepared = FORMS.map(|(name, keys, _)| prepared(folder.path(), keys).with_context(|| name.to_owned()));
    let prepared = prepared.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let mut engine = TestEngine::new(&prepared[0]);
    let mut fastest = [Duration::MAX; FORMS.len() + 2];
    let mut row = 0;
    for _ in 0..rounds {
        let [plain, whole, forms @ ..] = &mut fastest;
        let short = texts(FORMS[0].2, row);
        *plain = (*plain).min(measure(&short, |text| {
            let value: Value = serde_json::from_str(text).ok()?;
            black_box(value.get("t")?.as_i64()?);
            Some(value.get("v")?.as_f64()? as f32)
        })?);
        for ((fastest, prepared), (_, _, text)) in forms.iter_mut().zip(&prepared).zip(FORMS) {
            let decoder = &prepared.topics.sources()[0].decoder;
            *fastest = (*fastest).min(measure(&texts(text, row), |text| decode(decoder, text))?);
        }
        // Each message of the whole way is a time step of its own.
        *whole = (*whole).min(measure(&short, |text| {
            let mut mean = None;
            engine.take("s/a", text.as_bytes(), false, START, |step| {
                mean = step.mean.first().copied();
                1
            });
            mean
        })?);
        row += i64::from(MESSAGES);
    }
    let [plain, whole, ..] = fastest;
    let names = ["plain JSON parser", "the whole way: short form, resampler, model"];
    let names = names.into_iter().chain(FORMS.map(|(name, ..)| name));
    let cost = |(form, time): (&str, Duration)| Cost {
        form: form.to_owned(),
        time,
        ratios: [plain, whole].map(|of| time.as_secs_f64() / of.as_secs_f64()),
    };
    Ok(names.zip(fastest).map(cost).collect())
}

fn prepared(folder: &Path, keys: &str) -> anyhow::Result<Prepared> {
    let source = match keys {
        "" => "input.topic = 's/{stream}'\ninput.time_field = 't'\ninput.time_format = 'unix_s'\n".to_owned(),
        keys => format!("[[source]]\ntopic = 's/{{stream}}'\n{keys}\n"),
    };
    let text = format!("model.bundle = 'm.safetensors'\n{source}");
    let config = Config::parse(&text, &folder.join("edge.toml"), std::iter::empty())?;
    Ok(prepare(&config)?)
}

/// Payloads of successive minutes.
fn texts(form: &str, row: i64) -> Vec<String> {
    let time_s = |index: u32| START / 1000 + (row + i64::from(index)) * (MINUTE / 1000);
    (0..MESSAGES).map(|index| form.replace('T', &time_s(index).to_string())).collect()
}

fn decode(decoder: &Decoder, text: &str) -> Option<f32> {
    let payload = Payload {
        topic: "s/a",
        bytes: text.as_bytes(),
        arrival_ms: START,
        retained: false,
        newest_ms: None,
        field: None,
    };
    let mut found = None;
    let decoded = decoder.decode(&payload, |outcome| {
        if let tsm2_mqtt::Outcome::Value { value, .. } = outcome {
            found = Some(value);
        }
    });
    decoded.ok().and(found)
}

/// Time of one message.
fn measure(texts: &[String], mut read: impl FnMut(&str) -> Option<f32>) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    for text in texts {
        black_box(read(black_box(text)).with_context(|| format!("{text} is not read"))?);
    }
    Ok(begun.elapsed() / texts.len() as u32)
}
