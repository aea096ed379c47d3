//! A stream cut anywhere gives the same forecasts: the step, saved as bytes, restored and continued, to the bit; the
//! parallel form, with the state carried from stretch to stretch, within its tolerance.

use proptest::prelude::*;
use tsm2_bundle::Bundle;
use tsm2_conformance::catalogue::{Recipe, bundle, recipes, stream};
use tsm2_conformance::engines::{PARALLEL, Parallel, Stepper};
use tsm2_conformance::noise::Noise;
use tsm2_conformance::tolerance::Distance;
use tsm2_conformance::{Run, Stream};

/// A case of the catalogue, and a stream of its own.
#[derive(Debug)]
struct TestRun {
    bundle: Bundle,
    stream: Stream,
}

impl TestRun {
    /// `lost` in 0..=1 is the share of single readings that are missing.
    fn new(recipe: &Recipe, steps: usize, lost: f32, seed: u64) -> Self {
        let bundle = bundle(recipe.name, &recipe.config, recipe.interval_ms, 5);
        let mut stream = stream(&bundle, steps, recipe.interval_ms, recipe.faults, seed);
        let mut noise = Noise::new(!seed);
        for reading in &mut stream.readings {
            if noise.number().abs() < lost {
                *reading = f32::NAN;
            }
        }
        Self { bundle, stream }
    }

    /// The bits of every forecast and, at the end, of the state. The stream is reset before the time steps in
    /// `resets`; before those in `cuts` it goes through bytes into a stepper that has never seen it.
    fn steps(&self, resets: &[usize], cuts: &[usize]) -> Vec<u32> {
        let config = self.bundle.meta().config;
        let mut stepper = Stepper::new(&self.bundle);
        let mut forecast = vec![0.0; config.forecast_len()];
        let mut bits = Vec::new();
        for (t, step) in self.stream.steps(&self.bundle).enumerate() {
            if resets.contains(&t) {
                self.bundle.model().reset(&mut stepper.state).expect("length fits");
            }
            if cuts.contains(&t) {
                stepper = self.restored(&saved(&stepper.state), t as u64);
            }
            stepper.step(&step, &mut forecast);
            bits.extend(forecast.iter().map(|x| x.to_bits()));
        }
        bits.extend(stepper.state.iter().map(|x| x.to_bits()));
        bits
    }

    /// A stepper as after a restart: the state from its bytes, anything at all in the working memory.
    fn restored(&self, bytes: &[u8], seed: u64) -> Stepper<'_> {
        let mut stepper = Stepper::new(&self.bundle);
        for (number, bytes) in stepper.state.iter_mut().zip(bytes.as_chunks().0) {
            *number = f32::from_le_bytes(*bytes);
        }
        let mut noise = Noise::new(seed);
        for number in &mut stepper.scratch {
            *number = 1e30 * noise.number();
        }
        stepper
    }

    /// The parallel form over the stretches between `cuts`.
    fn stretches(&self, cuts: &[usize]) -> Run {
        let mut ends: Vec<usize> = cuts.iter().copied().chain([self.stream.times.len()]).collect();
        ends.sort_unstable();
        // The trainer knows single precision only.
        let single = self.bundle.to_single().expect("the same model");
        let mut parallel = Parallel::new(&single);
        let mut whole = Run::default();
        let mut start = 0;
        for end in ends {
            let part = parallel.advance(&self.stream.part(&self.bundle, start..end));
            whole.forecasts.extend(part.forecasts);
            whole.state = part.state;
            start = end;
        }
        whole
    }
}

fn saved(state: &[f32]) -> Vec<u8> {
    state.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn recipe() -> impl Strategy<Value = Recipe> {
    proptest::sample::select(recipes())
}

fn places() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0usize..60, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_in_pieces_gives_the_same_bits(
        recipe in recipe(), lost in 0.0f32..0.6, seed: u64, resets in places(), cuts in places(),
    ) {
        let run = TestRun::new(&recipe, 60, lost, seed);
        prop_assert!(run.steps(&resets, &[]) == run.steps(&resets, &cuts), "{}", recipe.name);
    }

    #[test]
    fn the_parallel_form_in_stretches_gives_what_one_pass_gives(
        recipe in recipe(), lost in 0.0f32..0.6, seed: u64, cuts in places(),
    ) {
        let run = TestRun::new(&recipe, 60, lost, seed);
        let distance = Distance::new(&run.bundle, &run.stretches(&cuts), &run.stretches(&[]));
        prop_assert!(distance.within(PARALLEL.tolerance(recipe.name)), "{}: {distance}", recipe.name);
    }
}

#[test]
fn every_model_goes_on_from_saved_bytes_at_every_step() {
    for recipe in recipes() {
        let run = TestRun::new(&recipe, 40, 0.2, 3);
        let every_step: Vec<usize> = (0..40).collect();
        assert!(run.steps(&[], &[]) == run.steps(&[], &every_step), "{}", recipe.name);
    }
}

#[test]
fn a_state_comes_back_from_its_bytes_bit_for_bit() {
    for recipe in recipes() {
        let run = TestRun::new(&recipe, 40, 0.2, 4);
        let mut stepper = Stepper::new(&run.bundle);
        let mut forecast = vec![0.0; recipe.config.forecast_len()];
        for step in run.stream.steps(&run.bundle) {
            stepper.step(&step, &mut forecast);
        }
        let bytes = saved(&stepper.state);
        assert!(stepper.state.iter().all(|x| x.is_finite()), "{}", recipe.name);
        assert_eq!(saved(&run.restored(&bytes, 9).state), bytes, "{}", recipe.name);
    }
}

#[test]
fn a_reset_stream_is_a_new_one() {
    for recipe in recipes() {
        let run = TestRun::new(&recipe, 40, 0.2, 6);
        let tail = TestRun {
            bundle: run.bundle.clone(),
            stream: run.stream.part(&run.bundle, 17..40),
        };
        let (whole, new) = (run.steps(&[17], &[]), tail.steps(&[], &[]));
        assert!(whole.ends_with(&new), "{}", recipe.name);
    }
}
