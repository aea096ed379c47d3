//! Exported graphs agree with the device's step: every kind of model, 2,000 time steps with missing readings and a gap.

use tsm2_conformance::onnx::{Subject, by_core, by_onnxruntime, by_tract};
use tsm2_conformance::tolerance::{Distance, Tolerance};
use tsm2_onnx::Interface;

#[test]
fn tract_agrees_with_the_step_over_2000_time_steps() {
    for subject in Subject::all() {
        let distance = Distance::new(&subject.bundle, &by_tract(&subject).run, &by_core(&subject).run);
        println!("{}: {distance}", subject.name);
        assert!(distance.within(Tolerance::Close), "{}: {distance}", subject.name);
    }
}

#[test]
fn the_checker_accepts_every_graph_and_onnxruntime_agrees_with_the_step() {
    let subjects = Subject::all();
    let Some(timed) = by_onnxruntime(&subjects) else {
        return;
    };
    for (subject, timed) in subjects.iter().zip(timed) {
        let distance = Distance::new(&subject.bundle, &timed.run, &by_core(subject).run);
        println!("{}: {distance}", subject.name);
        assert!(distance.within(Tolerance::Close), "{}: {distance}", subject.name);
    }
}

#[test]
fn the_metadata_holds_names_scaler_interval_and_horizon() {
    for subject in Subject::all() {
        let (of_graph, meta) = (
            Interface::read(&subject.exported.bytes).expect("a graph").metadata,
            subject.bundle.meta(),
        );
        assert_eq!(of_graph.name, meta.name);
        assert_eq!(of_graph.variates, meta.variates, "names, units, means and standard deviations");
        assert_eq!(
            (of_graph.interval_ms, of_graph.horizon),
            (meta.interval_ms, Some(meta.config.horizon)),
            "{}",
            subject.name
        );
    }
}

#[test]
fn the_same_bundle_gives_the_same_bytes() {
    for subject in Subject::all() {
        let again = tsm2_onnx::export(&subject.bundle).expect("a graph");
        assert!(again.bytes == subject.exported.bytes, "{}", subject.name);
    }
}
