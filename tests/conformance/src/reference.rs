//! The model as `docs/reference/bundle.md` specifies it: naive, in double precision, independent of every engine.
//!
//! Of the product's code it uses the configuration and the layout of the tensors, nothing that computes. It remembers
//! all samples and all tokens of a stream, and is therefore slow. The engines are compared with its output.

mod history;
mod mixer;
mod tensors;

use tsm2_bundle::Bundle;
use tsm2_core::{Config, Head, NetworkConfig};

use crate::{Run, Stream, TimeStep};
use history::History;
use mixer::{Memory, add, linear, time_mixer, variate_mlp, variate_scan};
use tensors::Tensors;

/// A whole stream through the reference.
#[must_use]
pub fn run(bundle: &Bundle, stream: &Stream) -> Run {
    let mut reference = Reference::new(bundle);
    let mut run = Run::default();
    for step in stream.steps(bundle) {
        run.forecasts.extend(reference.step(&step).iter().map(|&x| x as f32));
    }
    run.state = reference.state().iter().map(|&x| x as f32).collect();
    run
}

/// One stream through one model.
struct Reference {
    config: Config,
    tensors: Tensors,
    mean: Vec<f64>,
    std: Vec<f64>,
    history: History,
    /// `[layer][variate]`; empty without a network.
    memories: Vec<Vec<Memory>>,
}

impl Reference {
    /// A stream that has seen nothing.
    fn new(bundle: &Bundle) -> Self {
        let meta = bundle.meta();
        let config = meta.config;
        Self {
            config,
            tensors: Tensors::of(bundle),
            mean: meta.variates.iter().map(|v| f64::from(v.mean)).collect(),
            std: meta.variates.iter().map(|v| f64::from(v.std)).collect(),
            history: History::new(config.variates),
            memories: config.network.map_or(Vec::new(), |network| {
                vec![vec![Memory::new(&network.time_mixer); config.variates]; network.layers]
            }),
        }
    }

    /// Consumes one time step; the forecast `[targets, H]` in the sensors' own units.
    fn step(&mut self, step: &TimeStep<'_>) -> Vec<f64> {
        for (m, values) in step.future() {
            self.history.set_future(m, values, self.mean[m], self.std[m]);
        }
        self.history.push(step.readings, &self.mean, &self.std, step.time_ms);
        let features = self.config.network.map(|network| {
            let token = self.embed(&network);
            self.layers(&network, token)
        });
        self.forecast(features.as_deref())
    }

    /// What the numbers of variate `m` are held to: of a sample, of lags, of each average; none: to nothing.
    fn bounds(&self, m: usize) -> Vec<f64> {
        match self.config.linear_head.bounded {
            true => {
                let bounds = self.tensors.get("linear_head.bounds");
                let width = bounds.len() / self.config.variates;
                bounds[m * width..(m + 1) * width].to_vec()
            }
            false => vec![f64::INFINITY; 2 + self.config.averages.map_or(0, |averages| averages.count)],
        }
    }

    /// As [`Run::state`] describes it.
    fn state(&self) -> Vec<f64> {
        let memories = self.memories.iter().flatten();
        memories.flat_map(Memory::state).collect()
    }

    /// u of every variate, `[M][D]`.
    fn embed(&self, network: &NetworkConfig) -> Vec<Vec<f64>> {
        let d = network.d_model;
        (0..self.config.variates)
            .map(|m| {
                let mut u = linear(
                    self.tensors.get("embed.weight"),
                    &self.history.patch(&self.config, network, m, &self.bounds(m)),
                );
                add(&mut u, self.tensors.get("embed.bias"));
                add(&mut u, &self.tensors.get("embed.variate")[m * d..(m + 1) * d]);
                u
            })
            .collect()
    }

    /// The variate mixer's output of the last layer, `[M][D]`.
    fn layers(&mut self, network: &NetworkConfig, u: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        let mut of_time = vec![u.clone()];
        let mut of_variate = vec![u];
        for l in 0..network.layers {
            let [alpha, beta, theta, gamma] =
                ["alpha", "beta", "theta", "gamma"].map(|name| self.tensors.get(&format!("layers.{l}.average.{name}")));
            let x = sum(&of_time, alpha, &of_variate, beta);
            let mut y = x.clone();
            for m in 0..self.config.variates {
                let memory = &mut self.memories[l][m];
                add(&mut y[m], &time_mixer(network, &self.tensors, l, memory, &x[m]));
            }
            of_time.push(y);

            let x = sum(&of_time, theta, &of_variate, gamma);
            let mut y = x.clone();
            if let Some(sizes) = network.variate_mixer.s6() {
                add_all(&mut y, &variate_scan(&self.tensors, l, &sizes, &x));
            }
            if let Some(sizes) = network.variate_mixer.mlp() {
                add_all(&mut y, &variate_mlp(&self.tensors, l, &sizes, &x));
            }
            of_variate.push(y);
        }
        of_variate.pop().expect("a network has layers")
    }

    /// y = W_h x + b_h + W_l phi, de-normalized and unscaled.
    fn forecast(&self, features: Option<&[Vec<f64>]>) -> Vec<f64> {
        let (config, horizon) = (&self.config, self.config.horizon);
        let mut out = Vec::new();
        let targets = config.variates - config.past_covariates - config.future_covariates;
        for m in 0..targets {
            // The part of a tensor that belongs to target m, when each has its own.
            let own = |name: &str, per_variate: bool| {
                let tensor = self.tensors.get(name);
                let length = tensor.len() / if per_variate { targets } else { 1 };
                let start = if per_variate { m * length } else { 0 };
                &tensor[start..start + length]
            };
            let mut y = vec![0.0; horizon];
            if let (Some(network), Some(features)) = (config.network, features) {
                let per_variate = network.head == Head::PerVariate;
                add(&mut y, &linear(own("head.weight", per_variate), &features[m]));
                add(&mut y, own("head.bias", per_variate));
            }
            let phi = self.history.features(config, m, &|other| self.bounds(other));
            let head = &config.linear_head;
            if phi.is_empty() {
                // No linear head.
            } else if head.rank == 0 {
                add(&mut y, &linear(own("linear_head.weight", head.per_variate), &phi));
            } else {
                let projected = linear(self.tensors.get("linear_head.feature.weight"), &phi);
                let mixed = linear(own("linear_head.core.weight", head.per_variate), &projected);
                add(&mut y, &linear(self.tensors.get("linear_head.step.weight"), &mixed));
            }
            let anchor = self.history.anchor(config, m);
            let (mean, deviation) = self.history.statistics(config, m, self.history.samples() - 1);
            out.extend(y.iter().map(|y| ((y + anchor) * deviation + mean) * self.std[m] + self.mean[m]));
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
