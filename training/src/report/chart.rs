//! Charts as SVG: lines and bands over two axes, and bars.

use std::fmt::Write;

use maud::{Markup, html};

use super::text::number;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;

/// A line has no more points than this.
const POINTS: usize = 240;

/// Distances between ticks, times a power of ten.
const TICKS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];

/// How an axis spreads its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By powers of two. Zero stands where 1/2 does.
    Log2,
}

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What the numbers are.
    pub title: String,
    /// How they are spread.
    pub scale: Scale,
    /// The ends; found from the series if `None`.
    pub range: Option<(f64, f64)>,
    /// Whether an end that is found is at most 0.
    pub from_zero: bool,
}

impl Axis {
    /// An axis of sizes, which begins at 0.
    pub fn size(title: impl Into<String>) -> Axis {
        Axis {
            from_zero: true,
            ..Axis::new(title)
        }
    }

    /// An axis whose ends are found from the series.
    pub fn new(title: impl Into<String>) -> Axis {
        Axis {
            title: title.into(),
            scale: Scale::Linear,
            range: None,
            from_zero: false,
        }
    }
}

/// Lines or a band.
#[derive(Debug, Clone)]
pub struct Series {
    /// What it shows, for the legend.
    pub name: String,
    /// Its class in the style sheet.
    pub class: &'static str,
    /// `(x, y)`; a line breaks at a number that is not finite.
    pub points: Vec<(f64, f64)>,
    /// The other edge of a band.
    pub upper: Option<Vec<f64>>,
}

/// Series over common axes.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What the chart shows, for readers who cannot see it.
    pub label: String,
    /// Across.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// The series, the last one on top.
    pub series: Vec<Series>,
}

/// An axis with its ends and its place on the page.
struct Ruler {
    scale: Scale,
    range: (f64, f64),
    place: (f64, f64),
}

impl Ruler {
    fn new(axis: &Axis, numbers: impl Iterator<Item = f64>, place: (f64, f64)) -> Ruler {
        let found = numbers
            .filter(|x| x.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let (low, high) = axis.range.unwrap_or(found);
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let low = if axis.from_zero { low.min(0.0) } else { low };
        // A constant stands in the middle.
        let room = if high > low { 0.0 } else { high.abs().max(1.0) / 10.0 };
        Ruler {
            scale: axis.scale,
            range: (low - room, high + room),
            place,
        }
    }

    fn spread(&self, x: f64) -> f64 {
        match self.scale {
            Scale::Linear => x,
            Scale::Log2 if x > 0.0 => x.log2(),
            Scale::Log2 => -1.0,
        }
    }

    /// Where a number stands.
    fn at(&self, x: f64) -> f64 {
        let (low, high) = (self.spread(self.range.0), self.spread(self.range.1));
        let share = (self.spread(x) - low) / (high - low);
        self.place.0 + share.clamp(-0.02, 1.02) * (self.place.1 - self.place.0)
    }

    /// Numbers to write at the axis, about `wanted` of them.
    fn ticks(&self, wanted: f64) -> Vec<(f64, String)> {
        let (low, high) = self.range;
        if self.scale == Scale::Log2 {
            let first = if low == 0.0 { 0 } else { -9 };
            let powers = (first..40).map(|power| 2_f64.powi(power)).filter(|&x| x >= low && x <= high);
            let zero = (low == 0.0).then_some(0.0);
            let all: Vec<f64> = zero.into_iter().chain(powers).collect();
            let every = all.len().div_ceil(wanted as usize + 3).max(1);
            return all.into_iter().step_by(every).map(|x| (x, x.to_string())).collect();
        }
        let rough = (high - low) / wanted;
        let power = 10_f64.powf(rough.log10().floor());
        let step = power * TICKS.into_iter().find(|tick| tick * power >= rough).unwrap_or(10.0);
        let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
        let first = (low / step).ceil() as i64;
        (first..first + 20)
            .map(|i| i as f64 * step)
            .take_while(|x| *x <= high + step * 1e-9)
            .map(|x| (x, format!("{x:.decimals$}")))
            .collect()
    }
}

impl Chart {
    /// The drawing.
    pub fn svg(&self) -> Markup {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let edges = self.series.iter().flat_map(|series| series.upper.iter().flatten().copied());
        let x = Ruler::new(&self.x, points().map(|point| point.0), (LEFT, WIDTH - RIGHT));
        let y = Ruler::new(&self.y, points().map(|point| point.1).chain(edges), (HEIGHT - BOTTOM, TOP));
        html! {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.label) {
                @for (value, label) in y.ticks(4.0) {
                    @let at = coordinate(y.at(value));
                    line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(at) y2=(at) {}
                    text x=(LEFT - 6.0) y=(at) dy="0.35em" text-anchor="end" { (label) }
                }
                @for (value, label) in x.ticks(6.0) {
                    @let at = coordinate(x.at(value));
                    line.tick x1=(at) x2=(at) y1=(HEIGHT - BOTTOM) y2=(HEIGHT - BOTTOM + 4.0) {}
                    text x=(at) y=(HEIGHT - BOTTOM + 16.0) text-anchor="middle" { (label) }
                }
                line.axis x1=(LEFT) x2=(WIDTH - RIGHT) y1=(HEIGHT - BOTTOM) y2=(HEIGHT - BOTTOM) {}
                text.title x=((LEFT + WIDTH - RIGHT) / 2.0) y=(HEIGHT - 6.0) text-anchor="middle" { (self.x.title) }
                text.title transform={ "translate(11 " ((TOP + HEIGHT - BOTTOM) / 2.0) ") rotate(-90)" } text-anchor="middle" { (self.y.title) }
                @for series in &self.series {
                    @match &series.upper {
                        Some(upper) => path class={ "band " (series.class) } d=(band(&series.points, upper, &x, &y)) {},
                        None => path class={ "line " (series.class) } d=(line(&series.points, &x, &y)) {},
                    }
                }
            }
        }
    }

    /// The names of the series.
    pub fn legend(&self) -> Markup {
        html! {
            p.legend {
                @for series in &self.series {
                    span {
                        svg.swatch viewBox="0 0 24 10" aria-hidden="true" {
                            @match series.upper {
                                Some(_) => rect class={ "band " (series.class) } width="24" height="10" {},
                                None => path class={ "line " (series.class) } d="M0 5H24" {},
                            }
                        }
                        (series.name)
                    }
                }
            }
        }
    }
}

fn coordinate(x: f64) -> String {
    format!("{x:.1}")
}

/// Every so many points, and the last one.
fn thinned(count: usize) -> impl Iterator<Item = usize> {
    let step = count.div_ceil(POINTS).max(1);
    let last = count.checked_sub(1).filter(|last| !last.is_multiple_of(step));
    (0..count).step_by(step).chain(last)
}

fn line(points: &[(f64, f64)], x: &Ruler, y: &Ruler) -> String {
    let (mut path, mut pen) = (String::new(), 'M');
    for (px, py) in thinned(points.len()).map(|i| points[i]) {
        if !py.is_finite() {
            pen = 'M';
            continue;
        }
        let _ = write!(path, "{pen}{:.1} {:.1}", x.at(px), y.at(py));
        // A point by itself is a short dash.
        if pen == 'M' {
            path.push_str("h0.1");
        }
        pen = 'L';
    }
    path
}

fn band(points: &[(f64, f64)], upper: &[f64], x: &Ruler, y: &Ruler) -> String {
    let mut path = String::new();
    let places: Vec<usize> = thinned(points.len()).collect();
    let lower = places.iter().map(|&i| points[i]);
    let back = places.iter().rev().filter_map(|&i| Some((points[i].0, *upper.get(i)?)));
    for (px, py) in lower.chain(back).filter(|(_, py)| py.is_finite()) {
        let pen = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{pen}{:.1} {:.1}", x.at(px), y.at(py));
    }
    if !path.is_empty() {
        path.push('Z');
    }
    path
}

/// A bar with its name and its number.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What it shows.
    pub name: String,
    /// Its class in the style sheet.
    pub class: &'static str,
    /// Its length.
    pub value: f64,
    /// What stands behind it.
    pub note: String,
}

/// Bars below one another.
pub fn bars(caption: &str, bars: &[Bar]) -> Markup {
    let longest = bars.iter().map(|bar| bar.value).filter(|x| x.is_finite()).fold(0.0, f64::max);
    html! {
        table.bars {
            caption { (caption) }
            @for bar in bars {
                tr {
                    th scope="row" { (bar.name) }
                    td.bar {
                        svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
                            rect class={ "fill " (bar.class) } width=(coordinate(100.0 * (bar.value / longest).clamp(0.0, 1.0))) height="10" {}
                        }
                    }
                    td { (number(bar.value)) }
                    td.note { (bar.note) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>, name: &str) -> Chart {
        Chart {
            label: name.into(),
            x: Axis::new("x"),
            y: Axis::new("y"),
            series: vec![Series {
                name: name.into(),
                class: "tsm2",
                points,
                upper: None,
            }],
        }
    }

    #[test]
    fn texts_are_escaped_and_every_number_is_finite() {
        let hostile = "<script>\"&'";
        for points in [
            vec![],
            vec![(0.0, 1.0)],
            vec![(0.0, f64::NAN), (1.0, 2.0), (2.0, f64::INFINITY)],
            vec![(1.0, 5.0); 3],
        ] {
            let chart = chart(points, hostile);
            let text = chart.svg().into_string() + &chart.legend().into_string();
            assert!(
                !text.contains("<script>") && !text.contains("NaN") && !text.contains("inf"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_line_breaks_where_a_reading_is_missing() {
        let text = chart(vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 2.0)], "a")
            .svg()
            .into_string();
        let path = text
            .split("<path class=\"line tsm2\" d=\"")
            .nth(1)
            .and_then(|text| text.split('"').next())
            .unwrap();
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 1), "{path}");
    }

    #[test]
    fn ticks_are_round_and_few() {
        let axis = Axis::new("");
        for (low, high) in [(0.0, 1.0), (-3.7, 12.9), (1e-9, 2e-9), (0.0, 1e12), (99.0, 101.0)] {
            let ticks = Ruler::new(&axis, [low, high].into_iter(), (0.0, 100.0)).ticks(4.0);
            assert!((2..=9).contains(&ticks.len()), "{low} {high} {ticks:?}");
        }
        let axis = Axis {
            scale: Scale::Log2,
            ..axis
        };
        let ticks = Ruler::new(&axis, [0.0, 256.0].into_iter(), (0.0, 100.0)).ticks(6.0);
        assert_eq!(
            ticks.iter().map(|tick| tick.1.as_str()).collect::<Vec<_>>(),
            ["0", "2", "8", "32", "128"]
        );
    }

    #[test]
    fn long_lines_are_thinned_to_their_last_point() {
        let places: Vec<usize> = thinned(1000).collect();
        assert!(places.len() <= POINTS + 1 && places.last() == Some(&999), "{places:?}");
        assert_eq!(thinned(3).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
