//! Every case as a named test per engine, and two tests of the cases themselves: the files are those that the reference
//! makes, and every tensor of a case changes its forecasts.

use tsm2_bundle::Bundle;
use tsm2_conformance::case::Case;
use tsm2_conformance::catalogue::{Faults, Recipe, recipes};
use tsm2_conformance::engines::{ENGINES, Engine, PARALLEL, STEP, TRACT};
use tsm2_conformance::reference;
use tsm2_conformance::tolerance::{Distance, Tolerance};
use tsm2_core::layout;

/// What changing a tensor by a few tenths must change of the forecasts; far above every tolerance.
const VISIBLE: f64 = 1e-4;

macro_rules! cases {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        mod core_step {
            $(#[test] fn $name() { super::check(&super::STEP, stringify!($name)); })*
        }

        mod candle_parallel {
            $(#[test] fn $name() { super::check(&super::PARALLEL, stringify!($name)); })*
        }

        mod onnx_in_tract {
            $(#[test] fn $name() { super::check(&super::TRACT, stringify!($name)); })*
        }

        mod file_is_the_references {
            $(#[test] fn $name() { super::file_is_the_references(stringify!($name)); })*
        }

        mod every_tensor_changes_the_forecasts {
            $(#[test] fn $name() { super::every_tensor_changes_the_forecasts(stringify!($name)); })*
        }
    };
}

tsm2_conformance::with_cases!(cases);

#[test]
fn the_list_of_cases_is_the_catalogue() {
    let catalogue: Vec<&str> = recipes().iter().map(|recipe| recipe.name).collect();
    assert_eq!(NAMES, catalogue);
    for (name, ..) in ENGINES.iter().flat_map(|engine| engine.exceptions) {
        assert!(NAMES.contains(name), "an exception for `{name}`, which is not a case");
    }
}

fn recipe(name: &str) -> Recipe {
    recipes()
        .into_iter()
        .find(|recipe| recipe.name == name)
        .expect("a case of the catalogue")
}

fn check(engine: &Engine, name: &str) {
    let case = Case::open(name);
    let got = (engine.run)(&case.bundle, &case.stream);
    let (distance, tolerance) = (Distance::new(&case.bundle, &got, &case.expected), engine.tolerance(name));
    println!("{}, {name}: {distance}", engine.name);
    assert!(
        distance.within(tolerance),
        "{}, {name}: {distance} is beyond {tolerance:?}",
        engine.name
    );
}

fn file_is_the_references(name: &str) {
    let (file, made) = (Case::open(name), Case::make(&recipe(name)));
    assert_eq!(file.bundle.meta(), made.bundle.meta());
    assert_eq!(file.bundle.numbers(), made.bundle.numbers());
    assert_eq!(file.stream.times, made.stream.times);
    let numbers = |case: &Case| [case.stream.readings.clone(), case.stream.future.clone()].concat();
    let bits = |case: &Case| numbers(case).iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&file), bits(&made));
    // A double-precision exp may differ in its last bit from machine to machine.
    let distance = Distance::new(&made.bundle, &file.expected, &made.expected);
    assert!(distance.within(Tolerance::Rounding), "{distance}");
}

fn every_tensor_changes_the_forecasts(name: &str) {
    let recipe = recipe(name);
    if recipe.faults == Faults::Extreme {
        return; // Extreme readings hide every tensor; this case tests the limits alone.
    }
    let case = Case::make(&recipe);
    let single = case.bundle.to_single().expect("the same model");
    let mut start = 0;
    let mut tensors = Vec::new();
    layout(&recipe.config, |tensor, shape| {
        let end = start + shape.iter().product::<usize>();
        tensors.push((tensor.to_string(), start..end));
        start = end;
    })
    .expect("valid");
    for (tensor, range) in tensors {
        let mut weights = single.numbers();
        for (i, weight) in weights[range].iter_mut().enumerate() {
            *weight += if i % 2 == 0 { 0.3 } else { -0.2 };
        }
        let changed = Bundle::new(single.meta().clone(), weights).expect("valid");
        let difference = Distance::new(&case.bundle, &reference::run(&changed, &case.stream), &case.expected).forecasts;
        assert!(difference > VISIBLE, "{tensor} changes the forecasts by {difference:.1e} only");
    }
}
