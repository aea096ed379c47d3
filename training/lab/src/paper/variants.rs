//! The networks that are compared: TSM2 as the paper describes it, without some of its parts, and with others in their place.
//!
//! The paper states neither width nor depth; these are small, for tables on two cores, and the same for all of a table.

use tsm2_core::{Mlp, S6, VariateMixer};

use super::config::{TimeMixer, WindowConfig};
use tsm2_train::network::mixer::Directions;

/// Samples in the paper's window.
pub const LOOKBACK: usize = 512;

/// Sizes of every selective mixer.
const SCAN: S6 = S6 {
    d_inner: 32,
    d_state: 4,
    dt_rank: 1,
    d_conv: 4,
};

/// Width of a token's features.
const D_MODEL: usize = 16;

/// A network with a name.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// As in the tables.
    pub name: &'static str,
    /// What it is, in a few words.
    pub what: &'static str,
    /// Layers.
    pub layers: usize,
    time: TimeMixer,
    variate: VariateMixer,
    directions: Directions,
    max_span: Option<usize>,
}

/// The paper's network.
const TSM2: Variant = Variant {
    name: "tsm2",
    what: "S6 over time, S6 across variates in both directions, averaging of all earlier features",
    layers: 2,
    time: TimeMixer::S6(SCAN),
    variate: VariateMixer::S6(SCAN),
    directions: Directions::Both,
    max_span: None,
};

impl Variant {
    /// The paper's network alone.
    #[must_use]
    pub fn paper() -> Vec<Variant> {
        vec![TSM2]
    }

    /// From a token mixer alone to the full network, and the replacements of the paper.
    #[must_use]
    pub fn ablations() -> Vec<Variant> {
        vec![
            Variant {
                name: "time-only",
                what: "S6 over time alone",
                variate: VariateMixer::None,
                max_span: Some(0),
                ..TSM2
            },
            Variant {
                name: "one-direction",
                what: "and S6 across variates in one direction",
                directions: Directions::One,
                max_span: Some(0),
                ..TSM2
            },
            Variant {
                name: "both-directions",
                what: "and in the other",
                max_span: Some(0),
                ..TSM2
            },
            TSM2,
            Variant {
                name: "tsm2-mlp",
                what: "TSM2 with an MLP across variates",
                variate: VariateMixer::Mlp(Mlp { reduce: 8, hidden: 64 }),
                ..TSM2
            },
            Variant {
                name: "linear-time",
                what: "a linear layer over time, S6 across variates in one direction",
                time: TimeMixer::Linear,
                directions: Directions::One,
                ..TSM2
            },
        ]
    }

    /// TSM2 of four layers, by how many of them the averaging reaches back.
    #[must_use]
    pub fn spans() -> Vec<Variant> {
        let span = |name, what, max_span| Variant {
            name,
            what,
            layers: 4,
            max_span,
            ..TSM2
        };
        vec![
            span("span-0", "a plain residual stack", Some(0)),
            span("span-1", "averaging over the layer before", Some(1)),
            span("span-2", "over the two before", Some(2)),
            span("span-all", "over all", None),
        ]
    }

    /// Its sizes for a data set, in the paper's windows.
    #[must_use]
    pub fn config(&self, variates: usize, horizon: usize) -> WindowConfig {
        WindowConfig {
            variates,
            lookback: LOOKBACK,
            horizon,
            patch: 16,
            stride: 8,
            d_model: D_MODEL,
            layers: self.layers,
            time: self.time,
            variate: self.variate,
            directions: self.directions,
            max_span: self.max_span,
        }
    }
}
