//! Every engine on every case, and the cases themselves: the files are those the reference makes, and each tensor shows in its case.

use tsm2_bundle::Bundle;
use tsm2_conformance::case::Case;
use tsm2_conformance::catalogue::{Faults, recipes};
use tsm2_conformance::engines::{ENGINES, Engine};
use tsm2_conformance::{deviation, reference, state_deviation};
use tsm2_core::layout;

/// A double-precision exp may differ in its last bit from machine to machine, and then so may a rounded forecast.
const ROUNDING: f64 = 1e-6;

/// What changing a tensor by a few tenths must change of the forecasts; far above every engine's tolerance.
const VISIBLE: f64 = 1e-4;

#[test]
fn every_engine_gives_what_the_cases_expect() {
    let mut failures = Vec::new();
    for &Engine { name, tolerance, run } in ENGINES {
        for recipe in recipes() {
            let case = Case::open(recipe.name);
            let got = run(&case.bundle, &case.stream);
            let forecasts = ("forecasts", Some(deviation(&case.bundle, &got, &case.expected)));
            let state = ("state", state_deviation(&got, &case.expected));
            for (what, deviation) in [forecasts, state] {
                let Some(deviation) = deviation else { continue };
                let line = format!("{name}, {}: {what} {deviation:.1e}", recipe.name);
                println!("{line}");
                if deviation > recipe.slack() * tolerance {
                    failures.push(line);
                }
            }
        }
    }
    assert!(failures.is_empty(), "beyond the tolerance: {failures:#?}");
}

#[test]
fn the_files_are_those_the_reference_makes() {
    for recipe in recipes() {
        let (file, made) = (Case::open(recipe.name), Case::make(&recipe));
        let name = recipe.name;
        assert_eq!(file.bundle.meta(), made.bundle.meta(), "{name}");
        assert_eq!(file.bundle.weights(), made.bundle.weights(), "{name}");
        assert_eq!(file.stream.times, made.stream.times, "{name}");
        let numbers = |case: &Case| [case.stream.readings.clone(), case.stream.ahead.clone()].concat();
        let bits = |case: &Case| numbers(case).iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&file), bits(&made), "{name}");
        assert!(deviation(&made.bundle, &file.expected, &made.expected) <= ROUNDING, "{name}");
        assert!(
            state_deviation(&file.expected, &made.expected).is_some_and(|d| d <= ROUNDING),
            "{name}"
        );
    }
}

#[test]
fn every_tensor_shows_in_the_forecasts_of_its_case() {
    // Beside extreme readings nothing else shows; they have a case for their limit alone.
    for recipe in recipes().into_iter().filter(|recipe| recipe.faults != Faults::Extreme) {
        let case = Case::make(&recipe);
        let mut start = 0;
        let mut tensors = Vec::new();
        layout(&recipe.config, |name, shape| {
            let end = start + shape.iter().product::<usize>();
            tensors.push((name.to_string(), start..end));
            start = end;
        })
        .expect("valid");
        for (name, range) in tensors {
            let mut weights = case.bundle.weights().to_vec();
            for (i, weight) in weights[range].iter_mut().enumerate() {
                *weight += if i % 2 == 0 { 0.3 } else { -0.2 };
            }
            let changed = Bundle::new(case.bundle.meta().clone(), weights).expect("valid");
            let difference = deviation(&case.bundle, &reference::run(&changed, &case.stream), &case.expected);
            assert!(
                difference > VISIBLE,
                "{}: {name} changes the forecasts by {difference:.1e} only",
                recipe.name
            );
        }
    }
}
