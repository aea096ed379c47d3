//! Numbers, times and names as the page writes them.

use crate::evaluate::Ratio;

/// A number with about three significant digits.
pub fn number(x: f64) -> String {
    if !x.is_finite() {
        return "–".into();
    }
    let digits = match x.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size => (2 - size.log10().floor() as i32).clamp(0, 8) as usize,
    };
    format!("{x:.digits$}")
}

/// A count with a thin space between thousands.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A share in percent.
pub fn percent(share: f64) -> String {
    match share.is_finite() {
        true => format!("{:.1} %", 100.0 * share),
        false => "–".into(),
    }
}

/// Bytes in the unit that fits.
pub fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{n} bytes"),
        10_000..10_000_000 => format!("{} kB", number(n as f64 / 1e3)),
        _ => format!("{} MB", number(n as f64 / 1e6)),
    }
}

/// A time in the unit that fits.
pub fn time(seconds: f64) -> String {
    let (in_unit, unit) = match seconds {
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s if s < 120.0 => (s, "s"),
        s if s < 7_200.0 => (s / 60.0, "min"),
        s if s < 172_800.0 => (s / 3_600.0, "h"),
        s => (s / 86_400.0, "days"),
    };
    let digits = number(in_unit);
    let digits = match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => &digits,
    };
    format!("{digits} {unit}")
}

/// So many steps, with their time where the interval is known.
pub fn steps(steps: usize, interval_ms: Option<u64>) -> String {
    let word = if steps == 1 { "step" } else { "steps" };
    match interval_ms {
        Some(ms) => format!("{steps} {word} ({})", time(steps as f64 * ms as f64 / 1e3)),
        None => format!("{steps} {word}"),
    }
}

/// RFC 3339 in UTC to the second; the number itself beyond the years that has.
pub fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// A forecaster's name for people.
pub fn forecaster(name: &str) -> &str {
    match name {
        "tsm2" => "this model",
        "naive" => "naive (last reading)",
        "seasonal-naive" => "seasonal naive",
        "linear" => "linear model",
        "linear-all" => "linear model of all sensors",
        "sparse-tsf" => "SparseTSF",
        "linear-head" => "linear part of this model",
        "gru" => "GRU",
        "mlp" => "MLP",
        other => other,
    }
}

/// Below this no digit of a percentage is left.
const NOTHING: f64 = 0.000_5;

/// A relative error as a change: `46.2 % lower`, `3.1 times as large`, `the same`.
pub fn change(ratio: f64) -> String {
    match (ratio - 1.0).abs() < NOTHING {
        true => "the same".into(),
        false => bound(ratio),
    }
}

fn bound(ratio: f64) -> String {
    let percent = 100.0 * (ratio - 1.0);
    match ratio {
        r if !r.is_finite() => "–".into(),
        r if r >= MULTIPLE => format!("{} times as large", number(r)),
        r if r < 1.0 => format!("{:.1} % lower", -percent),
        _ => format!("{percent:.1} % higher"),
    }
}

/// From here on a ratio reads better as a multiple.
const MULTIPLE: f64 = 2.0;

/// The 95 % interval of a change: `43.1 to 49.0 % lower`. The larger change stands last.
pub fn interval(errors: &Ratio) -> String {
    match errors.interval {
        Some((low, high)) if (low - 1.0).abs().max((high - 1.0).abs()) < NOTHING => "the same".into(),
        Some((low, high)) if high < 1.0 => format!("{:.1} to {:.1} % lower", 100.0 * (1.0 - high), 100.0 * (1.0 - low)),
        Some((low, high)) if low > 1.0 && high < MULTIPLE => {
            format!("{:.1} to {:.1} % higher", 100.0 * (low - 1.0), 100.0 * (high - 1.0))
        }
        Some((low, high)) => format!("{} to {}", bound(low), bound(high)),
        None => "too few rows to know".into(),
    }
}

/// A change with its interval.
pub fn change_with_interval(errors: &Ratio) -> String {
    format!("{} (95 % interval: {})", change(errors.ratio), interval(errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_about_three_digits() {
        let of = [0.0, 0.012_345, 1.234, 56.78, 1234.5, -0.5, f64::NAN].map(number);
        assert_eq!(of, ["0", "0.0123", "1.23", "56.8", "1234", "-0.500", "–"]);
        assert_eq!((count(1_234_567).as_str(), count(999).as_str()), ("1\u{202f}234\u{202f}567", "999"));
        assert_eq!(steps(60, Some(60_000)), "60 steps (60 min)");
    }

    #[test]
    fn a_change_has_its_direction() {
        let of = |ratio, interval| change_with_interval(&Ratio { ratio, interval });
        assert_eq!(of(0.5, Some((0.4, 0.6))), "50.0 % lower (95 % interval: 40.0 to 60.0 % lower)");
        assert_eq!(of(1.0, Some((0.9, 1.2))), "the same (95 % interval: 10.0 % lower to 20.0 % higher)");
        assert_eq!(of(1.000_01, Some((1.0, 1.000_02))), "the same (95 % interval: the same)");
        assert_eq!(of(1.0, Some((1.0, 1.2))), "the same (95 % interval: 0.0 % higher to 20.0 % higher)");
        assert_eq!(of(1.5, None), "50.0 % higher (95 % interval: too few rows to know)");
        assert_eq!(
            of(7.0, Some((1.5, 9.0))),
            "7.00 times as large (95 % interval: 50.0 % higher to 9.00 times as large)"
        );
    }
}
