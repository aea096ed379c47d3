//! The model's tensors by name, in double precision.

use std::collections::HashMap;

use tsm2_bundle::Bundle;
use tsm2_core::layout;

/// All tensors of a model.
pub struct Tensors(HashMap<String, Vec<f64>>);

impl Tensors {
    /// The tensors of a bundle.
    pub fn of(bundle: &Bundle) -> Self {
        let mut tensors = HashMap::new();
        let mut weights = bundle.numbers().into_iter().map(f64::from);
        layout(&bundle.meta().config, |name, shape| {
            let tensor = weights.by_ref().take(shape.iter().product()).collect();
            tensors.insert(name.to_string(), tensor);
        })
        .expect("a bundle's configuration is valid");
        Self(tensors)
    }

    /// A tensor by name.
    pub fn get(&self, name: &str) -> &[f64] {
        self.0.get(name).unwrap_or_else(|| panic!("the model has no tensor `{name}`"))
    }
}
