//! What the evidence says: readings lost and counted twice, forecasts compared with a run that was never interrupted.
//!
//! Nothing is assumed: what the broker delivered is what the recorder saw, what the daemon consumed is what its state file counts, and every
//! forecast that passed is compared, bit for bit, with the model run in this process over the readings that were delivered.

use serde_json::Value;
use tsm2_e2e::stored::Stored;

use crate::readings::{STREAMS, VARIATES, forecast_key, reading_key, row, time_ms};
use crate::table::Row;
use crate::test_bed::TestBed;

/// A stretch of rows that a stream has had since it was new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// The rows sent.
    pub rows: std::ops::Range<i64>,
    /// How far the sensors' clock was off, in milliseconds.
    pub clock_ms: i64,
}

impl Epoch {
    /// Rows from the first, at their own times.
    pub fn until(rows: i64) -> Self {
        Epoch {
            rows: 0..rows,
            clock_ms: 0,
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Default)]
pub struct FaultResult {
    /// The fault.
    pub fault: String,
    /// How often and how.
    pub how: String,
    /// Readings that the broker took from the sensors.
    pub sent: u64,
    /// Of those, how many it never delivered.
    pub lost_by_broker: u64,
    /// Readings in the daemon's state at the end.
    pub consumed: u64,
    /// Delivered and not in the state.
    pub lost: u64,
    /// In the state more often than delivered.
    pub twice: u64,
    /// Deliveries beyond the first, which the daemon had to recognise.
    pub again: u64,
    /// Messages sent that are no readings, or none that can count.
    pub nonsense: u64,
    /// Forecasts that are due.
    pub due: u64,
    /// Of those, how many passed.
    pub passed: u64,
    /// Forecasts that passed and are not those of the uninterrupted run.
    pub wrong: u64,
    /// Seconds after each fault to the first forecast.
    pub recovery_s: Vec<f64>,
    /// What should hold and does not.
    pub complaints: Vec<String>,
}

impl Row for FaultResult {
    const COLUMNS: &'static [&'static str] = &[
        "fault",
        "sent",
        "lost by the broker",
        "consumed",
        "lost",
        "twice",
        "came again",
        "rejected",
        "forecasts due",
        "passed",
        "wrong",
        "recovery s, median",
        "longest",
    ];

    fn cells(&self) -> Vec<String> {
        let seconds = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2}"));
        let recovery = self.recovery();
        let mut cells = vec![self.fault.clone()];
        let counts = [
            self.sent,
            self.lost_by_broker,
            self.consumed,
            self.lost,
            self.twice,
            self.again,
            self.nonsense,
            self.due,
            self.passed,
            self.wrong,
        ];
        cells.extend(counts.map(|count| count.to_string()));
        cells.push(seconds(recovery.map(|(median, _)| median)));
        cells.push(seconds(recovery.map(|(_, longest)| longest)));
        cells
    }
}

impl FaultResult {
    /// What the fault was, and what does not hold, a line each.
    pub fn notes(&self) -> String {
        let complaints = self.complaints.iter().map(|complaint| format!("  - DOES NOT HOLD: {complaint}\n"));
        format!("- {}: {}\n{}", self.fault, self.how, complaints.collect::<String>())
    }

    /// Whether all that must be zero is.
    pub fn holds(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.wrong == 0 && self.complaints.is_empty()
    }

    /// Complains unless `is_so`.
    pub fn require(&mut self, is_so: bool, complaint: impl Into<String>) {
        if !is_so {
            self.complaints.push(complaint.into());
        }
    }

    /// Adds what a epoch shows; `stored` is what the state's file says of it, by stream.
    pub fn weigh(&mut self, bed: &TestBed, epoch: &Epoch, stored: &[Stored]) {
        let seen = bed.recorder.seen();
        for (stream, stored) in STREAMS.iter().zip(stored) {
            let mut rows = Vec::new();
            let mut delivered = 0;
            for index in epoch.rows.clone() {
                let time = time_ms(index) + epoch.clock_ms;
                let mut values = row(stream, index);
                for (variate, value) in VARIATES.iter().zip(&mut values) {
                    match seen.delivered.get(&reading_key(stream, variate, time)) {
                        Some(&times) => {
                            delivered += 1;
                            self.again += u64::from(times - 1);
                        }
                        None => *value = f32::NAN,
                    }
                }
                let is_first = rows.is_empty() && values.iter().all(|value| value.is_nan());
                if !is_first {
                    rows.push((time, values));
                }
            }
            let sent = 2 * (epoch.rows.end - epoch.rows.start) as u64;
            self.sent += sent;
            self.lost_by_broker += sent - delivered;
            self.consumed += stored.readings;
            self.lost += delivered.saturating_sub(stored.readings);
            self.twice += stored.readings.saturating_sub(delivered);
            let gap_rows = rows.iter().filter(|(_, row)| row.iter().all(|value| value.is_nan())).count() as u64;
            let expected = (rows.len() as u64 - gap_rows, gap_rows);
            self.require(
                (stored.rows, stored.gap_rows) == expected,
                format!("stream {stream}: {stored:?} where (rows, gap rows) should be {expected:?}"),
            );
            for ((time, values), forecast) in rows.iter().zip(bed.site.forecasts(&rows)) {
                if values.iter().all(|value| value.is_nan()) {
                    continue;
                }
                for (variate, expected) in VARIATES.iter().zip(forecast.chunks_exact(forecast.len() / VARIATES.len())) {
                    self.due += 1;
                    let Some(passed) = seen.forecasts.get(&forecast_key(stream, variate, *time)) else {
                        continue;
                    };
                    self.passed += 1;
                    let wrong = passed.iter().filter(|&passed| !is_same(passed, expected)).count();
                    self.wrong += wrong as u64;
                }
            }
        }
    }

    /// Requires that the daemon counted `nonsense` messages and no more as rejected, beside those that came again.
    pub fn require_rejected(&mut self, summary: &Value) {
        let rejected: u64 = summary["rejected"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, count)| count.as_u64())
            .sum();
        let expected = self.nonsense + self.again;
        self.require(
            rejected == expected,
            format!("{rejected} rejected where {expected} should be: {}", summary["rejected"]),
        );
    }

    /// Half of the recoveries are faster, and the slowest; `None` where nothing had to recover.
    pub fn recovery(&self) -> Option<(f64, f64)> {
        let mut sorted = self.recovery_s.clone();
        sorted.sort_by(f64::total_cmp);
        Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
    }
}

fn is_same(one: &[f32], other: &[f32]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.to_bits() == other.to_bits())
}
