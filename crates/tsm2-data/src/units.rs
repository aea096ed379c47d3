//! Units in headers, lines of units and cells.

/// Units as people write them, beside those with `°`, `%`, `²`, `³` or `/`.
const UNITS: &[&str] = &[
    "C", "F", "K", "degC", "degF", "deg C", "deg F", "deg_C", "Deg C", "Deg_C", "celsius", "Celsius", "deg", "degree", "degrees", "rad",
    "W", "kW", "MW", "GW", "mW", "Wh", "kWh", "MWh", "GWh", "VA", "kVA", "MVA", "var", "kvar", "kVAr", "kVar", "VAr", "kVarh", "kvarh",
    "kVArh", "V", "mV", "kV", "Volts", "Volt", "volts", "A", "mA", "kA", "Amps", "Amp", "Ah", "mAh", "Ohm", "ohm", "kOhm", "Hz", "kHz",
    "MHz", "rpm", "RPM", "Pa", "hPa", "kPa", "MPa", "bar", "mbar", "mBar", "Bar", "psi", "PSI", "inHg", "mmHg", "atm", "ppm", "ppb", "ppt",
    "lx", "lux", "Lux", "klx", "lm", "m", "mm", "cm", "km", "in", "inch", "ft", "mi", "g", "kg", "mg", "t", "lb", "l", "L", "ml", "mL",
    "gal", "m2", "m3", "m^2", "m^3", "m**3", "l/s", "Nm", "N", "kN", "J", "kJ", "MJ", "GJ", "cal", "kcal", "BTU", "dB", "dBm", "dBA", "db",
    "pH", "mS", "uS", "µS", "S", "NTU", "FNU", "PSU", "psu", "s", "sec", "seconds", "min", "minutes", "h", "hr", "hrs", "hours", "d",
    "days", "ms", "us", "mph", "kn", "knots", "km/h", "m/s", "ug", "mol", "mmol", "EUR", "USD", "€", "$", "€/MWh", "bit", "bits", "B",
    "kB", "KiB", "MiB", "GiB", "TB", "MB", "GB", "Mbps", "pct", "percent", "Pct", "counts", "Count", "octas", "UV", "J/m2", "tCO2", "Tot",
    "mSv", "Bq", "steps", "bpm", "degree_C", "degree_F",
];

/// Whether the text is a unit.
pub(crate) fn is_unit(text: &str) -> bool {
    let text = text.trim();
    if let Some(degrees) = text.strip_prefix("Deg. ") {
        return matches!(degrees, "C" | "F" | "K");
    }
    if text.is_empty() || text.chars().count() > 12 || text.contains([':', ';', ',', '=']) || text.contains(char::is_control) {
        return false;
    }
    if UNITS.contains(&text) {
        return true;
    }
    if text.contains(['°', '℃', '℉', '%', '²', '³', 'Ω', 'µ', 'μ', '‰', '\u{fffd}']) {
        // `\u{fffd}` is a degree sign that another program has spoiled.
        return text.chars().next().is_some_and(|c| !c.is_ascii_digit());
    }
    let known = |part: &str| {
        UNITS.contains(&part)
            || part
                .strip_suffix(|c: char| c.is_ascii_digit())
                .is_some_and(|part| UNITS.contains(&part))
    };
    text.split_once('/')
        .is_some_and(|(above, below)| known(above) && (known(below) || below.split("**").next().is_some_and(known)))
}

/// Whether a cell of a line below the header is one of units: a unit, nothing, or a logger's sign for time and counters.
pub(crate) fn is_unit_cell(text: &str) -> bool {
    let text = text.trim().trim_matches(['(', ')', '[', ']']);
    text.is_empty()
        || is_unit(text)
        || matches!(
            text,
            "TS" | "RN" | "-" | "Smp" | "Avg" | "Max" | "Min" | "Std" | "unitless" | "none" | "none."
        )
        || is_pattern(text)
}

/// Whether the text describes how a time is written, such as `yyyy-mm-dd hh:mm`.
fn is_pattern(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("yy") && text.contains("mm") || text.contains("hh:mm")
}

/// The unit in a column's name: in brackets, or behind a comma as loggers write it, or degrees at its end.
pub(crate) fn of_name(name: &str) -> Option<String> {
    for (open, close) in [('[', ']'), ('(', ')'), ('{', '}')] {
        if let Some((_, rest)) = name.rsplit_once(open)
            && let Some((inside, _)) = rest.split_once(close)
            && is_unit(inside)
        {
            return Some(inside.trim().to_owned());
        }
    }
    let behind = name.split_once(',').map(|(_, rest)| rest.split('(').next().unwrap_or(rest).trim());
    // `Temperature°C`.
    let degrees = || {
        name.find(['°', '℃', '℉'])
            .map(|at| &name[at..])
            .filter(|unit| unit.chars().count() <= 2)
    };
    behind.filter(|unit| is_unit(unit)).or_else(degrees).map(str::to_owned)
}
