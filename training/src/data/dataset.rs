//! A table as the device's preprocessor reads it.

use std::ops::Range;

use tsm2_core::{Config, Preprocessor};

use crate::data::scale::Scaler;
use crate::data::table::Table;

/// Calls `visit(row, preprocessor, state)` after each of these rows has passed the preprocessor of `config`. Each range of rows begins with an
/// empty state. Future covariates are set to their recorded values.
///
/// # Errors
/// A fault of the configuration or the scaler.
pub fn pass(
    config: &Config,
    scaler: &Scaler,
    table: &Table,
    passes: &[Range<usize>],
    mut visit: impl FnMut(usize, &Preprocessor<'_>, &[f32]),
) -> Result<(), tsm2_core::Error> {
    let preprocessor = scaler.preprocessor(config)?;
    let mut state = vec![0.0; preprocessor.state_len()];
    for rows in passes {
        state.fill(0.0);
        for row in rows.clone() {
            table.future_values(row, config.future_covariates, config.horizon, |v, values| {
                preprocessor.set_future(&mut state, v, values)
            })?;
            preprocessor.push(&mut state, table.input_row(row), table.local_time_ms(row))?;
            visit(row, &preprocessor, &state);
        }
    }
    Ok(())
}
