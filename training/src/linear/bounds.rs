//! The bounds of what a model reads: how far each of its numbers went in the rows that the model is fitted to.

use tsm2_core::Config;

use crate::data::dataset::pass;
use crate::data::runs::Pieces;
use crate::data::scale::Scaler;
use crate::data::table::Table;

/// The scaler with the bounds of `config` in these rows.
pub(super) fn with_bounds(config: &Config, table: &Table, scaler: &Scaler, rows: &Pieces) -> Result<Scaler, tsm2_core::Error> {
    let mut bounded = Scaler {
        bounds: Vec::new(),
        ..scaler.clone()
    };
    let width = config.bounds_len();
    let mut bounds = vec![0.0; config.variates * width];
    let head = &config.linear_head;
    let lags = head.lags.max(head.common_lags).max(head.cross_lags);
    let mut scratch = vec![0.0; lags + width];
    pass(config, &bounded, table, &rows.passes(), |_, preprocessor, state| {
        for (variate, bounds) in bounds.chunks_exact_mut(width).enumerate() {
            preprocessor.raise_bounds(state, variate, &mut scratch, bounds);
        }
    })?;
    bounded.bounds = bounds;
    Ok(bounded)
}
