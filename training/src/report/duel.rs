//! Two models on the same rows.

use serde::Serialize;

use crate::evaluate::{ErrorsByDevice, HorizonError, Ratio};

/// Two models at one horizon.
#[derive(Debug, Clone, Serialize)]
pub struct HorizonPair {
    /// The first model.
    pub a: HorizonError,
    /// The second model.
    pub b: HorizonError,
    /// B's squared error relative to A's.
    #[serde(flatten)]
    pub errors: Ratio,
}

/// Two models on one sensor, over all steps of the longest horizon.
#[derive(Debug, Clone, Serialize)]
pub struct SensorPair {
    /// The sensor.
    pub name: String,
    /// Its unit.
    pub unit: Option<String>,
    /// Mean absolute error of A, in that unit; `None` without a reading.
    pub mae_a: Option<f64>,
    /// The same of B.
    pub mae_b: Option<f64>,
    /// B's squared error relative to A's.
    #[serde(flatten)]
    pub errors: Option<Ratio>,
}

/// The comparison of two models.
#[derive(Debug, Clone, Serialize)]
pub struct Duel {
    /// Names of A and B.
    pub names: [String; 2],
    /// The rows.
    pub rows: String,
    /// By horizon, the longest last.
    pub horizons: Vec<HorizonPair>,
    /// By sensor, in A's order.
    pub sensors: Vec<SensorPair>,
    /// Mean absolute error of A and B at each step, over all sensors.
    pub steps: [Vec<f64>; 2],
}

/// A sensor of both models.
#[derive(Debug, Clone)]
pub struct Sensor {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: Option<String>,
    /// Its place in B; its place in A is its own.
    pub in_b: usize,
    /// The deviation that errors are in units of.
    pub deviation: f64,
}

impl Duel {
    /// From the errors of both at the same origins and horizons.
    #[must_use]
    pub fn new(names: [String; 2], rows: String, sensors: &[Sensor], [a, b]: [&ErrorsByDevice; 2]) -> Duel {
        let pair = |i: usize| HorizonPair {
            a: a.total[i],
            b: b.total[i],
            errors: Ratio::new([b.total[i].mse, a.total[i].mse], [&b.details[i].blocks(), &a.details[i].blocks()]),
        };
        let horizons: Vec<HorizonPair> = (0..a.total.len()).map(pair).collect();
        let longest = a.total.len().saturating_sub(1);
        let (of_a, of_b) = (&a.details[longest], &b.details[longest]);
        let sensor = |(in_a, sensor): (usize, &Sensor)| {
            let means = [of_a.target(in_a).mean(), of_b.target(sensor.in_b).mean()];
            let mse = means[1].zip(means[0]).map(|(b, a)| [b.mse, a.mse]);
            SensorPair {
                name: sensor.name.clone(),
                unit: sensor.unit.clone(),
                mae_a: means[0].map(|errors| errors.mae * sensor.deviation),
                mae_b: means[1].map(|errors| errors.mae * sensor.deviation),
                errors: mse.map(|mse| Ratio::new(mse, [&of_b.target_blocks(sensor.in_b), &of_a.target_blocks(in_a)])),
            }
        };
        let steps = [of_a, of_b].map(|details| {
            let step = |step: usize| details.step(step).mean().map_or(f64::NAN, |errors| errors.mae);
            (0..details.horizon()).map(step).collect()
        });
        Duel {
            names,
            rows,
            horizons,
            sensors: sensors.iter().enumerate().map(sensor).collect(),
            steps,
        }
    }

    /// The comparison in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let [a, b] = &self.names;
        let all = |test: fn(&Ratio) -> bool| self.horizons.iter().all(|pair| test(&pair.errors));
        let none = |test: fn(&Ratio) -> bool| !self.horizons.iter().any(|pair| test(&pair.errors));
        if all(Ratio::is_better) {
            format!("{b} is better than {a} at every horizon.")
        } else if all(Ratio::is_worse) {
            format!("{a} is better than {b} at every horizon.")
        } else if none(Ratio::is_better) && none(Ratio::is_worse) {
            format!("{a} and {b} differ by no more than chance at any horizon.")
        } else if none(Ratio::is_worse) {
            format!("{b} is better than {a} at some horizons and as good at the others.")
        } else if none(Ratio::is_better) {
            format!("{a} is better than {b} at some horizons and as good at the others.")
        } else {
            format!("{b} is better than {a} at some horizons and worse at others.")
        }
    }
}
