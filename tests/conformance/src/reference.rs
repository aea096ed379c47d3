//! Stream mode as the specification writes it: naive, in double precision, and independent of every engine.
//!
//! Of the product's code it uses the configuration and the layout of the tensors, nothing that computes. It remembers all samples and all
//! tokens of a stream and is therefore slow; what it gives is what the engines are held to.

mod history;
mod mixer;

use std::collections::HashMap;

use tsm2_bundle::Bundle;
use tsm2_core::{Config, Head, layout};

use crate::{Row, Run, Stream};
use history::History;
use mixer::{Memory, add, linear, time_mixer, variate_mlp, variate_scan};

/// A whole stream through the reference.
#[must_use]
pub fn run(bundle: &Bundle, stream: &Stream) -> Run {
    let mut reference = Reference::new(bundle);
    let mut run = Run::default();
    for (t, row) in stream.rows(bundle).enumerate() {
        if let Some(forecast) = reference.step(&row) {
            run.issued.push(t);
            run.forecasts.extend(forecast.iter().map(|&x| x as f32));
        }
    }
    run.state = Some(reference.state().iter().map(|&x| x as f32).collect());
    run
}

/// The model's tensors by name, in double precision.
struct Tensors(HashMap<String, Vec<f64>>);

impl Tensors {
    fn get(&self, name: &str) -> &[f64] {
        self.0.get(name).unwrap_or_else(|| panic!("the model has no tensor `{name}`"))
    }
}

/// One stream through one model.
struct Reference {
    config: Config,
    tensors: Tensors,
    mean: Vec<f64>,
    std: Vec<f64>,
    history: History,
    /// `[phase][layer][variate]`.
    memories: Vec<Vec<Vec<Memory>>>,
}

impl Reference {
    /// A stream that has seen nothing.
    fn new(bundle: &Bundle) -> Self {
        let meta = bundle.meta();
        let config = meta.config;
        let mut tensors = HashMap::new();
        let mut weights = bundle.weights().iter().map(|&w| f64::from(w));
        layout(&config, |name, shape| {
            let tensor = weights.by_ref().take(shape.iter().product()).collect();
            tensors.insert(name.to_string(), tensor);
        })
        .expect("a bundle's configuration is valid");
        Self {
            config,
            tensors: Tensors(tensors),
            mean: meta.variates.iter().map(|v| f64::from(v.mean)).collect(),
            std: meta.variates.iter().map(|v| f64::from(v.std)).collect(),
            history: History::new(config.variates),
            memories: vec![vec![vec![Memory::new(&config.time_mixer); config.variates]; config.layers]; config.phases],
        }
    }

    /// Consumes one row. When a token is due, the forecast `[M - X, H]` in the sensors' own units.
    fn step(&mut self, row: &Row<'_>) -> Option<Vec<f64>> {
        for (m, values) in row.told() {
            self.history.tell(m, values, self.mean[m], self.std[m]);
        }
        self.history.push(row.readings, &self.mean, &self.std, row.time_ms);
        let phase = self.history.samples() % self.config.stride;
        (phase < self.config.phases).then(|| {
            let token = self.embed();
            let features = self.layers(phase, token);
            self.forecast(&features)
        })
    }

    /// As [`Run::state`] describes it.
    fn state(&self) -> Vec<f64> {
        let memories = self.memories.iter().flatten().flatten();
        memories.flat_map(|memory| memory.state(&self.config.time_mixer)).collect()
    }

    /// u of every variate, `[M][D]`.
    fn embed(&self) -> Vec<Vec<f64>> {
        let d = self.config.d_model;
        (0..self.config.variates)
            .map(|m| {
                let mut u = linear(self.tensors.get("embed.weight"), &self.history.patch(&self.config, m));
                add(&mut u, self.tensors.get("embed.bias"));
                if self.config.variate_embedding {
                    add(&mut u, &self.tensors.get("embed.variate")[m * d..(m + 1) * d]);
                }
                u
            })
            .collect()
    }

    /// Section 4: yC of the last layer, `[M][D]`.
    fn layers(&mut self, phase: usize, u: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        let mut of_time = vec![u.clone()];
        let mut of_variate = vec![u];
        for l in 0..self.config.layers {
            let x = match self.averaging(l, ["alpha", "beta"]) {
                Some([alpha, beta]) => sum(&of_time, alpha, &of_variate, beta),
                None => of_variate[l].clone(),
            };
            let mut y = x.clone();
            for m in 0..self.config.variates {
                let memory = &mut self.memories[phase][l][m];
                add(&mut y[m], &time_mixer(&self.config, &self.tensors, l, memory, &x[m]));
            }
            of_time.push(y);

            let x = match self.averaging(l, ["theta", "gamma"]) {
                Some([theta, gamma]) => sum(&of_time, theta, &of_variate, gamma),
                None => of_time[l + 1].clone(),
            };
            let mut y = x.clone();
            if let Some(sizes) = self.config.variate_mixer.s6() {
                add_all(&mut y, &variate_scan(&self.config, &self.tensors, l, &sizes, &x));
            }
            if let Some(sizes) = self.config.variate_mixer.mlp() {
                add_all(&mut y, &variate_mlp(&self.tensors, l, &sizes, &x));
            }
            of_variate.push(y);
        }
        of_variate.pop().expect("a model has layers")
    }

    /// Two rows of averaging coefficients of a layer; none when they are fixed at a plain residual stack.
    fn averaging(&self, l: usize, names: [&str; 2]) -> Option<[&[f64]; 2]> {
        self.config
            .weighted_averaging
            .then(|| names.map(|name| self.tensors.get(&format!("layers.{l}.average.{name}"))))
    }

    /// Section 5: y = W_h x + b_h + W_s phi, de-normalised and unscaled.
    fn forecast(&self, features: &[Vec<f64>]) -> Vec<f64> {
        let (config, horizon) = (&self.config, self.config.horizon);
        let mut out = Vec::new();
        let forecast = config.variates - config.exogenous;
        for m in 0..forecast {
            // The part of a tensor that belongs to variate m, when each has its own.
            let own = |name: &str, per_variate: bool| {
                let tensor = self.tensors.get(name);
                let length = tensor.len() / if per_variate { forecast } else { 1 };
                let start = if per_variate { m * length } else { 0 };
                &tensor[start..start + length]
            };
            let per_variate = config.head == Head::PerVariate;
            let mut y = linear(own("head.weight", per_variate), &features[m]);
            add(&mut y, own("head.bias", per_variate));
            let phi = self.history.features(config, m);
            if !phi.is_empty() {
                add(&mut y, &linear(own("readout.weight", config.readout.per_variate), &phi));
            }
            let (mu, sd) = self.history.statistics(config, m, self.history.samples() - 1);
            assert_eq!(y.len(), horizon);
            out.extend(y.iter().map(|y| (y * sd + mu) * self.std[m] + self.mean[m]));
        }
        out
    }
}

/// sum_i t_i yT_i + sum_i c_i yC_i, `[M][D]`.
fn sum(of_time: &[Vec<Vec<f64>>], t: &[f64], of_variate: &[Vec<Vec<f64>>], c: &[f64]) -> Vec<Vec<f64>> {
    assert_eq!((of_time.len(), of_variate.len()), (t.len(), c.len()));
    let mut x = vec![vec![0.0; of_time[0][0].len()]; of_time[0].len()];
    for (y, weight) in of_time.iter().zip(t).chain(of_variate.iter().zip(c)) {
        for m in 0..x.len() {
            for i in 0..x[m].len() {
                x[m][i] += weight * y[m][i];
            }
        }
    }
    x
}

fn add_all(y: &mut [Vec<f64>], x: &[Vec<f64>]) {
    for (y, x) in y.iter_mut().zip(x) {
        add(y, x);
    }
}
