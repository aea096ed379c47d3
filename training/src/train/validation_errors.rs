//! Validation errors as sums that give the error at any blend weight of network and linear head.

use std::ops::Range;

/// BlendSums over forecasts at one step, in units of z: of r^2, r n and n^2, and how many there are. r is the linear head's error and n the step
/// from the linear head's forecast to the network's, so the forecast at weight w is the linear head's plus w n.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BlendSums {
    /// Of r^2: the linear head's own error.
    pub linear: f64,
    /// Of r n.
    pub cross: f64,
    /// Of n^2.
    pub network: f64,
    /// Of ones.
    pub count: f64,
}

impl BlendSums {
    /// The mean squared error with this weight of the network.
    #[must_use]
    pub fn mse(&self, weight: f64) -> f64 {
        (self.linear - 2.0 * weight * self.cross + weight * weight * self.network) / self.count.max(1.0)
    }

    /// The weight in [0, 1] with the least error.
    #[must_use]
    pub fn best_weight(&self) -> f64 {
        if self.network > 0.0 {
            (self.cross / self.network).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

impl std::iter::Sum for BlendSums {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::default(), |a, b| Self {
            linear: a.linear + b.linear,
            cross: a.cross + b.cross,
            network: a.network + b.network,
            count: a.count + b.count,
        })
    }
}

/// Errors on validation, by consecutive part of its rows and by step.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidationErrors {
    /// `[parts][H]`.
    pub parts: Vec<Vec<BlendSums>>,
    /// Rows from the start of one part to the start of the next.
    pub spacing: usize,
}

impl ValidationErrors {
    /// Over a step group, for each part.
    pub fn group(&self, steps: Range<usize>) -> impl Iterator<Item = BlendSums> {
        self.parts.iter().map(move |part| part[steps.clone()].iter().copied().sum())
    }

    /// H.
    #[must_use]
    pub fn horizon(&self) -> usize {
        self.parts.first().map_or(0, Vec::len)
    }

    /// Mean squared error at each step, each band with its best weight.
    #[must_use]
    pub fn by_step(&self, groups: &[Range<usize>]) -> Vec<f64> {
        let of_band = |band: &Range<usize>| {
            let weight = self.group(band.clone()).sum::<BlendSums>().best_weight();
            band.clone()
                .map(move |step| self.group(step..step + 1).sum::<BlendSums>().mse(weight))
                .collect::<Vec<_>>()
        };
        groups.iter().flat_map(of_band).collect()
    }

    /// Error relative to the linear head's, averaged over steps: the score of a training.
    #[must_use]
    pub fn score(&self, groups: &[Range<usize>]) -> f64 {
        self.relative(&self.by_step(groups))
    }

    /// As [`ValidationErrors::score`], without a share of the linear head in the forecast.
    #[must_use]
    pub fn score_standalone(&self) -> f64 {
        let alone = |step: usize| self.group(step..step + 1).sum::<BlendSums>().mse(1.0);
        self.relative(&(0..self.horizon()).map(alone).collect::<Vec<_>>())
    }

    /// The mean over steps of these errors relative to the linear head's.
    fn relative(&self, mse: &[f64]) -> f64 {
        let linear = |step: usize| self.group(step..step + 1).sum::<BlendSums>().mse(0.0);
        let ratio = |(step, mse): (usize, &f64)| if linear(step) > 0.0 { mse / linear(step) } else { 1.0 };
        mse.iter().enumerate().map(ratio).sum::<f64>() / self.horizon().max(1) as f64
    }
}
