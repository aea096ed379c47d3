//! The demo's table: what each sensor reads, what is forecast, and the errors of the forecasts.
//!
//! Fits a terminal of 80 by 24; from [`WIDE`] columns on it also draws the last two hours and the forecast of the next.

use crate::scoreboard::{Comparison, HORIZONS_MIN, Scoreboard};
use crate::simulator::{INTERVAL_MS, NAMES, UNITS, VARIATES};
use crate::view::{MINUTES_PER_SECOND, View};
use comfy_table::{Attribute, Cell, CellAlignment, Color, ColumnConstraint, LineStyle, Table, TableStyle, Width};
use jiff::Timestamp;

/// Columns of a terminal from which on there is room for the drawings.
pub const WIDE: u16 = 118;

/// A bar of a drawing stands for this many minutes.
const BAR_MIN: i64 = 10;
const PAST_BARS: i64 = 12;
const NEXT_BARS: i64 = 6;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

const RULED: TableStyle = TableStyle::new()
    .top_border(LineStyle::none().fill('─').junction('─'))
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// How the table is to look.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns there are.
    pub width: u16,
    /// Whether the terminal shows colours.
    pub colours: bool,
}

/// The whole picture as text: title, table and legend, lines separated by `\n`.
pub fn picture(view: View<'_>, style: Style) -> String {
    let (bold, plain) = if style.colours { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let clock = match view.scoreboard.now_ms().and_then(|now_ms| Timestamp::from_millisecond(now_ms).ok()) {
        Some(now) => now.strftime("%a %d %b, %H:%M").to_string(),
        None => "waiting for readings".into(),
    };
    let pace = if view.warm_up < 1.0 {
        format!("warming up, {:.0} %", 100.0 * view.warm_up)
    } else {
        format!("{MINUTES_PER_SECOND} simulated minutes a second")
    };
    let table = table(view.scoreboard, style);
    format!(
        "{bold}A simulated building{plain}   {clock}   {pace}\n\
         model {}   page http://{}/\n\
         mosquitto_sub -p {} -t 'tsm2/#' -v\n{table}\n\
         error: mean absolute error of the forecasts so far; ratio: to that of\n\
         the naive forecast, the last reading. Below 1 is better.",
        view.model, view.page, view.port
    )
}

/// A column's title, its least width, and the space to its left. Numbers grow and shrink; the table stands still.
struct Column {
    title: String,
    width: u16,
    gap: u16,
}

fn columns(wide: bool) -> Vec<Column> {
    let column = |title: String, width, gap| Column { title, width, gap };
    let mut columns = vec![column("\nsensor".into(), 15, 0), column("\nreads".into(), 10, 1)];
    if wide {
        columns.extend([
            column("last\ntwo hours".into(), PAST_BARS as u16, 3),
            column("next\nhour".into(), NEXT_BARS as u16, 0),
        ]);
    }
    columns.extend(HORIZONS_MIN.map(|step| column(format!("in\n{step} min"), 6, 1)));
    for step in HORIZONS_MIN {
        columns.push(column(format!("error,\n{step} min"), 6, 3));
        if wide {
            columns.push(column("\nnaive".into(), 7, 1));
        }
        columns.push(column("\nratio".into(), 5, 1));
    }
    columns
}

/// The table alone.
fn table(scoreboard: &Scoreboard, style: Style) -> String {
    let wide = style.width >= WIDE;
    let mut table = Table::new();
    table.force_no_tty().load_style(RULED);
    if style.colours {
        table.enforce_styling();
    }
    let columns = columns(wide);
    table.set_header(columns.iter().map(|column| Cell::new(&column.title).add_attribute(Attribute::Dim)));
    for variate in 0..VARIATES {
        table.add_row(row(scoreboard, variate, wide));
    }
    for (index, (column, shape)) in table.column_iter_mut().zip(columns).enumerate() {
        column.set_padding((shape.gap, 0));
        column.set_cell_alignment(if index == 0 { CellAlignment::Left } else { CellAlignment::Right });
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(shape.width + shape.gap)));
    }
    table.trim_fmt()
}

/// One cell for each of the [`columns`].
fn row(scoreboard: &Scoreboard, variate: usize, wide: bool) -> Vec<Cell> {
    let series = &scoreboard.series[variate];
    let digits = decimals(UNITS[variate]);
    let reading = match scoreboard.recent(variate, 1)[..] {
        [reading] => format!("{} {}", plain(f64::from(reading), digits), UNITS[variate]),
        _ => "–".into(),
    };
    let mut cells = vec![Cell::new(NAMES[variate]), Cell::new(reading).add_attribute(Attribute::Bold)];
    if wide {
        let (past, next) = drawings(scoreboard, variate);
        cells.extend([Cell::new(past), Cell::new(next).fg(Color::Cyan)]);
    }
    let forecast = series.newest.as_ref().map_or(&[][..], |(_, values)| values);
    cells.extend(HORIZONS_MIN.map(|step| {
        let value = forecast.get(step - 1).map(|value| plain(f64::from(*value), digits));
        Cell::new(value.unwrap_or("–".into())).fg(Color::Cyan)
    }));
    for errors in &series.errors {
        let error = |mae: Option<f64>| mae.map_or("–".into(), |mae| plain(mae, digits + 1));
        cells.push(Cell::new(error(errors.model_mae())));
        if wide {
            cells.push(Cell::new(error(errors.naive_mae())).add_attribute(Attribute::Dim));
        }
        cells.push(ratio(errors));
    }
    cells
}

/// Green where the model does better than the naive forecast, red where it does worse.
fn ratio(errors: &Comparison) -> Cell {
    match errors.ratio() {
        Some(ratio) => Cell::new(format!("{ratio:.2}")).fg(if ratio < 1.0 { Color::Green } else { Color::Red }),
        None => Cell::new("–"),
    }
}

fn decimals(unit: &str) -> usize {
    match unit {
        "°C" | "kW" => 1,
        _ => 0,
    }
}

/// Rounded, without the minus sign of a rounded zero.
fn plain(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.bytes().all(|byte| matches!(byte, b'0' | b'.')) => zero.into(),
        _ => text,
    }
}

/// The past and the forecast on one scale. Bars begin at full ten minutes, so that they stand still until the next begins.
fn drawings(scoreboard: &Scoreboard, variate: usize) -> (String, String) {
    let Some(now_min) = scoreboard.now_ms().map(|now_ms| now_ms / INTERVAL_MS) else {
        return (String::new(), String::new());
    };
    let first_bar = now_min / BAR_MIN - (PAST_BARS - 1);
    let mut bars = vec![(0.0f32, 0u32); (PAST_BARS + NEXT_BARS) as usize];
    let mut add = |minute: i64, value: f32| {
        if let Some((sum, count)) = usize::try_from(minute / BAR_MIN - first_bar).ok().and_then(|bar| bars.get_mut(bar)) {
            *sum += value;
            *count += 1;
        }
    };
    let past = scoreboard.recent(variate, (PAST_BARS * BAR_MIN) as usize);
    for (age, value) in past.iter().rev().enumerate() {
        add(now_min - age as i64, *value);
    }
    if let Some((origin_ms, values)) = &scoreboard.series[variate].newest {
        for (minute, value) in (origin_ms / INTERVAL_MS + 1..).zip(values) {
            // A bar is either measured or forecast.
            if minute / BAR_MIN > now_min / BAR_MIN {
                add(minute, *value);
            }
        }
    }
    let means = bars
        .iter()
        .map(|(sum, count)| (*count > 0).then(|| sum / *count as f32))
        .collect::<Vec<_>>();
    let low = means.iter().flatten().copied().fold(f32::INFINITY, f32::min);
    let high = means.iter().flatten().copied().fold(f32::NEG_INFINITY, f32::max);
    let glyph = |mean: &Option<f32>| match mean {
        None => ' ',
        // Noise alone is not blown up to full height.
        Some(mean) => {
            BARS[(((mean - low) / (high - low).max(least_range(UNITS[variate]))) * 7.0)
                .round()
                .clamp(0.0, 7.0) as usize]
        }
    };
    let (past, next) = means.split_at(PAST_BARS as usize);
    (past.iter().map(glyph).collect(), next.iter().map(glyph).collect())
}

/// The smallest span that fills a drawing's height.
fn least_range(unit: &str) -> f32 {
    match unit {
        "°C" | "kW" => 1.0,
        "persons" => 4.0,
        _ => 40.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::Building;

    fn scoreboard(minutes: usize) -> Scoreboard {
        let rows = Building::new(3, 1_772_438_400_000).take(minutes + 60).collect::<Vec<_>>();
        let mut scoreboard = Scoreboard::new(rows[0].time_ms);
        for (minute, row) in rows[..minutes].iter().enumerate() {
            scoreboard.read(row.time_ms, row.values);
            for variate in 0..VARIATES {
                let truth = rows[minute + 1..minute + 61].iter().map(|row| row.values[variate]);
                scoreboard.forecast(variate, row.time_ms, truth.collect());
            }
        }
        scoreboard
    }

    #[test]
    fn it_fits_its_terminal_from_the_first_row_on() {
        for minutes in [0, 1, 300] {
            for (width, limit) in [(80, 80), (WIDE, usize::from(WIDE)), (120, 120)] {
                let scoreboard = scoreboard(minutes);
                let view = View {
                    model: "building",
                    port: 65535,
                    page: ([127, 0, 0, 1], 65535).into(),
                    scoreboard: &scoreboard,
                    warm_up: 0.5,
                };
                let text = picture(view, Style { width, colours: false });
                assert!(text.lines().count() < 24, "{} lines", text.lines().count());
                let widest = text.lines().map(|line| line.chars().count()).max();
                assert!(widest <= Some(limit), "{widest:?} columns in a terminal of {limit}\n{text}");
                assert!(NAMES.iter().all(|name| text.contains(name)), "{text}");
            }
        }
    }

    #[test]
    fn a_perfect_forecast_shows_no_error_and_draws_the_future() {
        let scoreboard = scoreboard(300);
        let text = table(
            &scoreboard,
            Style {
                width: WIDE,
                colours: false,
            },
        );
        let co2 = text.lines().find(|line| line.starts_with("co2")).expect("a row for co2");
        assert!(co2.contains("0.00"), "{co2}");
        let (past, next) = drawings(&scoreboard, 10);
        assert_eq!((past.chars().count(), next.chars().count()), (12, 6));
        assert!(BARS.iter().any(|bar| next.contains(*bar)));
        assert!(!table(&scoreboard, Style { width: 80, colours: false }).contains('\x1b'));
        assert!(table(&scoreboard, Style { width: 80, colours: true }).contains('\x1b'));
    }

    #[test]
    fn numbers_have_no_negative_zero() {
        assert_eq!(plain(-0.04, 1), "0.0");
        assert_eq!(plain(-0.06, 1), "-0.1");
        assert_eq!(plain(-0.4, 0), "0");
    }
}
