//! The course of a training, from the file beside the model.

use std::path::Path;

use serde::Deserialize;

use crate::train::curves::CURVES;

/// One network in training.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Network and candidate.
    pub name: String,
    /// Seconds since the start, and the validation error relative to the linear part.
    pub points: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
struct Line {
    network: String,
    candidate: String,
    seconds: f64,
    validation_error_relative_to_linear: f64,
}

/// The curves beside a model; none where the file is missing or holds something else.
pub fn beside(model: &Path) -> Vec<Curve> {
    let Ok(mut reader) = csv::Reader::from_path(model.with_file_name(CURVES)) else {
        return Vec::new();
    };
    let mut curves: Vec<Curve> = Vec::new();
    for line in reader.deserialize::<Line>().map_while(Result::ok) {
        let name = format!("{}, {}", line.network, line.candidate);
        let point = (line.seconds, line.validation_error_relative_to_linear);
        match curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { name, points: vec![point] }),
        }
    }
    curves
}
