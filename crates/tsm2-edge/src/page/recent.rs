//! Recent data of the streams: readings, the newest forecast, past forecasts, and live errors.
//!
//! 1. Memory is bounded: beyond [`BUDGET`] further streams are listed without their data. A stream
//!    that somebody looks at gets the place of one that nobody looks at.
//! 2. Nothing here is durable: the page begins anew with the process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use tsm2_bundle::Metadata;

use super::data::{Data, Model};
use super::series::Series;
use crate::runtime::engine::Step;

/// Bytes that are kept of all streams together.
const BUDGET: usize = 16 << 20;
/// Most steps of the horizon whose past forecasts are kept.
const MAX_PAST_STEPS: usize = 8;
/// Streams in one answer.
const LISTED: usize = 100;

/// See the module.
#[derive(Debug, Default)]
pub struct Recent(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    model: Model,
    streams: HashMap<String, Stream>,
    /// Streams whose data are kept.
    kept: usize,
}

#[derive(Debug, Default)]
struct Stream {
    /// Time of the last time step.
    time_ms: i64,
    drifting: bool,
    looked_at: Option<Instant>,
    data: Option<Box<Data>>,
}

/// A list of streams.
#[derive(Debug, Serialize)]
pub(crate) struct Listing {
    model: String,
    /// Streams with a time step since the start.
    total: usize,
    /// Streams whose name contains the search text.
    matching: usize,
    streams: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    time_ms: i64,
    drifting: bool,
}

impl Recent {
    /// Names the model, and the steps of the horizon that are published (none: all). The data of
    /// another model go.
    pub(crate) fn set_model(&self, meta: &Metadata, interval_ms: u64, published: &[usize]) {
        let horizon = meta.config.horizon;
        let past_steps = past_steps(horizon, published);
        let model = Model {
            name: meta.name.clone(),
            horizon,
            interval_ms: i64::try_from(interval_ms).unwrap_or(i64::MAX),
            variates: meta
                .variates
                .iter()
                .map(|variate| (variate.name.clone(), variate.unit.clone()))
                .collect(),
            targets: meta.targets().len(),
            past_steps,
        };
        let mut state = self.state();
        if state.model != model {
            *state = State { model, ..State::default() };
        }
    }

    /// Takes a time step and its forecast.
    pub(crate) fn step(&self, step: &Step<'_>) {
        let state = &mut *self.state();
        if !state.streams.contains_key(step.stream) {
            state.streams.insert(step.stream.to_owned(), Stream::default());
        }
        let has_room = state.kept < state.capacity();
        let Some(stream) = state.streams.get_mut(step.stream) else { return };
        stream.time_ms = step.time_ms;
        if let Some(monitor) = step.metrics {
            stream.drifting = monitor.drifts();
        }
        if stream.data.is_none() && has_room {
            stream.data = Some(Box::default());
            state.kept += 1;
        }
        if let Some(data) = &mut stream.data {
            data.step(&state.model, step);
        }
    }

    /// Removes a stream.
    pub(crate) fn forget(&self, stream: &str) {
        let mut state = self.state();
        if state.streams.remove(stream).is_some_and(|stream| stream.data.is_some()) {
            state.kept -= 1;
        }
    }

    /// The streams whose name contains `search`, without regard to case; at most [`LISTED`].
    pub(crate) fn list(&self, search: &str) -> Listing {
        let (state, search) = (self.state(), search.to_lowercase());
        let is_match = |name: &str| search.is_empty() || name.to_lowercase().contains(&search);
        let mut matching: Vec<(&String, &Stream)> = state.streams.iter().filter(|(name, _)| is_match(name)).collect();
        let count = matching.len();
        if count > LISTED {
            matching.select_nth_unstable_by_key(LISTED, |(name, _)| *name);
            matching.truncate(LISTED);
        }
        matching.sort_unstable_by_key(|(name, _)| *name);
        let listed = |(name, stream): (&String, &Stream)| Listed {
            name: name.clone(),
            time_ms: stream.time_ms,
            drifting: stream.drifting,
        };
        Listing {
            model: state.model.name.clone(),
            total: state.streams.len(),
            matching: count,
            streams: matching.into_iter().map(listed).collect(),
        }
    }

    /// The data of a stream's variates, and of `variate` its series; `None` for an unknown stream.
    pub(crate) fn series(&self, name: &str, variate: &str) -> Option<Series> {
        let state = &mut *self.state();
        state.look_at(name)?;
        let data = state.streams.get(name)?.data.as_deref()?;
        Some(Series::of(&state.model, data, variate))
    }

    /// Time of a stream's last time step.
    pub(crate) fn time_ms(&self, name: &str) -> Option<i64> {
        self.state().streams.get(name).map(|stream| stream.time_ms)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The steps whose past forecasts are kept: those that are published, if they are few, else a quarter
/// of the horizon and its last step.
fn past_steps(horizon: usize, published: &[usize]) -> Vec<usize> {
    match published.len() {
        1..=MAX_PAST_STEPS => published.to_vec(),
        _ => {
            let mut steps = vec![horizon.div_ceil(4), horizon];
            steps.dedup();
            steps
        }
    }
}

impl State {
    /// Streams whose data fit into the budget.
    fn capacity(&self) -> usize {
        (BUDGET / self.model.bytes()).max(1)
    }

    /// Keeps the data of a stream from now on, in place of those that were looked at least recently.
    fn look_at(&mut self, name: &str) -> Option<()> {
        let capacity = self.capacity();
        let stream = self.streams.get_mut(name)?;
        stream.looked_at = Some(Instant::now());
        if stream.data.is_some() {
            return Some(());
        }
        stream.data = Some(Box::default());
        self.kept += 1;
        if self.kept > capacity {
            let others = self
                .streams
                .iter_mut()
                .filter(|(other, stream)| *other != name && stream.data.is_some());
            if let Some((_, least)) = others.min_by_key(|(_, stream)| stream.looked_at) {
                least.data = None;
                self.kept -= 1;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::data::KEPT;

    const MINUTE: i64 = 60_000;

    fn recent(variates: usize, horizon: usize) -> Recent {
        let recent = Recent::default();
        recent.state().model = Model {
            name: "test".into(),
            horizon,
            interval_ms: MINUTE,
            variates: (0..variates).map(|variate| (format!("v{variate}"), None)).collect(),
            targets: variates,
            past_steps: vec![1, horizon],
        };
        recent
    }

    /// A time step whose forecast repeats its values.
    fn step(recent: &Recent, stream: &str, minute: i64, values: &[f32]) {
        let horizon = recent.state().model.horizon;
        let mean: Vec<f32> = values.iter().flat_map(|value| vec![*value; horizon]).collect();
        recent.step(&Step {
            stream,
            time_ms: minute * MINUTE,
            last_reading_ms: Some(minute * MINUTE),
            values,
            mean: &mean,
            lower: &mean,
            upper: &mean,
            metrics: None,
        });
    }

    fn json(recent: &Recent, stream: &str, variate: &str) -> serde_json::Value {
        serde_json::to_value(recent.series(stream, variate)).expect("JSON")
    }

    #[test]
    fn past_forecasts_stand_at_the_time_that_they_forecast() {
        let recent = recent(2, 3);
        for minute in 0..4 {
            step(&recent, "a", minute, &[minute as f32, f32::NAN]);
        }
        let series = json(&recent, "a", "v0");
        assert_eq!(series["history"]["time_ms"][3], 3 * MINUTE);
        assert_eq!(series["history"]["value"], serde_json::json!([0.0, 1.0, 2.0, 3.0]));
        assert_eq!(series["forecast"]["start_ms"], 4 * MINUTE);
        assert_eq!(series["past"][1]["step"], 3);
        assert_eq!(series["past"][1]["time_ms"][0], 3 * MINUTE);
        assert_eq!(series["past"][1]["value"][0], 0.0);
        let missing = json(&recent, "a", "v1");
        assert!(missing["history"]["value"][0].is_null());
        assert!(json(&recent, "b", "v0").is_null());
    }

    #[test]
    fn past_forecasts_are_kept_for_the_published_steps() {
        assert_eq!(past_steps(60, &[5, 30]), [5, 30]);
        assert_eq!((past_steps(60, &[]), past_steps(1, &[])), (vec![15, 60], vec![1]));
        let many: Vec<usize> = (1..=60).collect();
        assert_eq!(past_steps(60, &many), [15, 60], "memory is bounded");
    }

    #[test]
    fn memory_is_bounded_and_a_stream_that_is_looked_at_has_its_data() {
        let recent = recent(50, 1000);
        let capacity = recent.state().capacity();
        let names: Vec<String> = (0..capacity + 3).map(|number| format!("Stream {number}")).collect();
        for name in &names {
            step(&recent, name, 0, &[1.0; 50]);
        }
        assert_eq!(recent.state().kept, capacity);
        let last = names.last().expect("a name");
        assert_eq!(json(&recent, last, "v0")["history"]["value"], serde_json::json!([]));
        step(&recent, last, 1, &[2.0; 50]);
        assert_eq!(json(&recent, last, "v0")["history"]["value"], serde_json::json!([2.0]));
        assert_eq!(recent.state().kept, capacity, "another stream made room");
        recent.forget(last);
        assert_eq!(recent.state().kept, capacity - 1);
        for minute in 0..2 * KEPT as i64 {
            step(&recent, &names[0], minute, &[0.0; 50]);
        }
        let kept = json(&recent, &names[0], "v0")["history"]["value"].as_array().map(Vec::len);
        assert!(kept.is_some_and(|kept| kept <= KEPT), "{kept:?}");
    }

    #[test]
    fn a_step_that_bridges_a_gap_has_no_past_forecast() {
        let recent = recent(1, 2);
        step(&recent, "a", 0, &[5.0]);
        recent.step(&Step {
            stream: "a",
            time_ms: MINUTE,
            last_reading_ms: None,
            values: &[f32::NAN],
            mean: &[7.0; 2],
            lower: &[7.0; 2],
            upper: &[7.0; 2],
            metrics: None,
        });
        let series = json(&recent, "a", "v0");
        assert_eq!(series["history"]["value"], serde_json::json!([5.0, null]));
        assert_eq!(series["past"][0]["time_ms"], serde_json::json!([MINUTE]));
        assert_eq!(series["forecast"]["mean"], serde_json::json!([5.0, 5.0]));
    }

    #[test]
    fn many_streams_of_a_narrow_model_stay_within_the_budget() {
        let recent = recent(1, 12);
        let capacity = recent.state().capacity();
        assert!(capacity >= 1000, "a thousand small streams have their history: {capacity}");
        for minute in 0..2 * KEPT as i64 {
            step(&recent, "a", minute, &[1.0]);
        }
        let state = recent.state();
        let data = state.streams["a"].data.as_deref().expect("data");
        assert!(data.bytes() * capacity <= BUDGET, "{}", data.bytes());
    }

    #[test]
    fn a_search_finds_names_without_regard_to_case() {
        let recent = recent(1, 2);
        for name in ["room", "old boiler", "Boiler"] {
            step(&recent, name, 7, &[1.0]);
        }
        let listing = serde_json::to_value(recent.list("boil")).expect("JSON");
        assert_eq!((&listing["total"], &listing["matching"]), (&3.into(), &2.into()));
        assert_eq!(listing["streams"][0]["name"], "Boiler");
        let names: Vec<String> = (0..3 * LISTED).rev().map(|number| format!("stream {number:03}")).collect();
        names.iter().for_each(|name| step(&recent, name, 7, &[1.0]));
        let listing = recent.list("stream");
        let listed = listing.streams.iter().map(|stream| &stream.name);
        assert!(listed.eq(names.iter().rev().take(LISTED)), "the first by name");
        assert_eq!(listing.matching, 3 * LISTED);
    }
}
