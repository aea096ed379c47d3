//! Warnings of values that are read as they stand and are probably no readings: codes, and counters.

use std::collections::BTreeMap;

use crate::error::quoted;
use crate::options::Options;
use crate::report::{Kind, Report};

/// Variates that are named one by one.
const EACH: usize = 2;

/// Adds the warnings.
pub(crate) fn name(report: &mut Report, options: &Options) {
    let mut codes: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for variate in &report.variates {
        for &(code, times) in &variate.shape.sentinels {
            codes.entry(code.to_string()).or_default().push((variate.name.clone(), times));
        }
    }
    let share = |times: u64| {
        let share = 100.0 * times as f64 / report.rows.max(1) as f64;
        let digits = if share >= 1.0 { 0 } else { 2 };
        format!(
            "in {share:.digits$} % of the rows ({})",
            if times == 1 { "once".into() } else { format!("{times} times") }
        )
    };
    let mut warnings = Vec::new();
    for (code, variates) in codes {
        if variates.len() <= EACH {
            for (name, times) in variates {
                let value = quoted(&format!("{name}:{code}"));
                warnings.push(format!(
                    "{name}: {code} {}, far from all other values: --missing-values {value} leaves it out",
                    share(times)
                ));
            }
            continue;
        }
        let each = variates
            .iter()
            .map(|(name, times)| format!("{name} {times} times"))
            .collect::<Vec<_>>()
            .join(", ");
        warnings.push(format!(
            "{code} far from all other values in {} columns ({each}): --missing-values {code} leaves it out",
            variates.len()
        ));
    }
    for variate in report
        .variates
        .iter()
        .filter(|variate| variate.kind == Kind::Counter && !options.difference.contains(&variate.name))
    {
        let name = quoted(&variate.name);
        warnings.push(format!(
            "{}: only rises, as a counter does: --difference {name} reads its increase",
            variate.name
        ));
    }
    if let Some(variate) = report.variates.iter().find(|variate| variate.name.contains('\u{fffd}')) {
        warnings.push(format!(
            "{}: the name holds characters that another program has spoiled",
            variate.name
        ));
    }
    report.warnings.extend(warnings);
}
