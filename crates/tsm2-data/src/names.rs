//! Column names that have a meaning, in the common languages.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Words for a time, in lower case.
static TIME: Words = LazyLock::new(|| {
    set(
        "time date datetime timestamp timestamps when ts ds dt tmstamp epoch unix unixtime dates times zeit datum zeitstempel \
    uhrzeit zeitpunkt fecha hora heure horodatage horodate ora orario tijd tijdstip tidspunkt dato tid klokkeslett czas \
    godzina čas aika päivä pvm время дата 时间 日期 時間 日時 日付 시간 날짜 utc tiempo elapsed datahora datumzeit jour instant zaman \
    tarih saat idő dátum datenum yyyymmdd 年月日 年月日時 年月日时",
    )
});

/// Words that say more about a time.
static BESIDE: Words = LazyLock::new(|| {
    set(
        "local gmt utc measurement measured sample sampling record recorded event start end begin from to created updated \
    changed last at of the and y e et und en de la in von bis mess messung valid obs observation logger log server device \
    system reading received iso iso8601 s ms us ns sec seconds min minutes h hr hours d days since unix cet cest mez mesz \
    est edt pst pdt bst interval index hh mm ss yyyy dd stamp",
    )
});

/// Whole names of times that the words do not cover.
const WHOLE: &[&str] = &[
    "last_changed",
    "last_updated",
    "_time",
    "t",
    "tstamp",
    "when",
    "data",
    "data hora",
    "data e hora",
    "date-time",
    "last_reported",
    "start_ts",
    "time stamp",
];

/// Words to be looked up.
type Words = LazyLock<HashSet<&'static str>>;

fn set(list: &'static str) -> HashSet<&'static str> {
    list.split(' ').collect()
}

/// Whether a name is one of the words, its case and spaces for underscores left out of account.
fn is_one_of(words: &Words, name: &str) -> bool {
    words.contains(name.trim().to_lowercase().replace(' ', "_").as_str())
}

/// A name in lower case, as words.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last_lower = false;
    let mut inside = false;
    for c in name.trim().chars() {
        if !c.is_alphanumeric() {
            (inside, last_lower) = (false, false);
            continue;
        }
        if !inside || last_lower && c.is_uppercase() {
            words.push(String::new());
        }
        inside = true;
        last_lower = c.is_lowercase();
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words
}

/// Whether a column of this name holds times.
pub(crate) fn is_time(name: &str) -> bool {
    let lower = name.trim().to_lowercase();
    if lower.is_empty() {
        return false;
    }
    if name.trim() == "T" {
        // A temperature.
        return false;
    }
    if WHOLE.contains(&lower.as_str()) {
        return true;
    }
    let words = words(name);
    let has_unit = words.len() > 1 && words.iter().skip(1).all(|word| BESIDE.contains(word.as_str()));
    if name.trim().starts_with('t') && words[0] == "t" && has_unit {
        return true;
    }
    let is_time = |word: &String| TIME.contains(word.as_str());
    let is_zone = |word: &String| word.chars().all(|c| c.is_ascii_digit());
    words.iter().any(is_time)
        && words
            .iter()
            .all(|word| is_time(word) || BESIDE.contains(word.as_str()) || is_zone(word))
}

/// A part of a date in a column of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Part {
    Year,
    Month,
    Day,
    DayOfYear,
    Hour,
    /// Hour and minute as one number, such as 1430.
    Clock,
    Minute,
    Second,
    Millisecond,
}

/// The part of a date that a column of this name holds.
pub(crate) fn part(name: &str) -> Option<Part> {
    let words = words(name);
    let last = match &words[..] {
        [only] => only.as_str(),
        [first, rest @ ..] if rest.iter().all(|word| BESIDE.contains(word.as_str())) => first.as_str(),
        _ => return None,
    };
    Some(match last {
        "year" | "yr" | "yyyy" | "yy" | "jahr" | "año" | "ano" | "année" | "annee" | "anno" | "jaar" | "år" => Part::Year,
        "month" | "mo" | "mon" | "monat" | "mes" | "mês" | "mois" | "mese" | "maand" | "måned" => Part::Month,
        "day" | "dy" | "tag" | "día" | "dia" | "jour" | "giorno" | "dag" | "dom" | "dd" => Part::Day,
        "doy" | "dayofyear" | "jday" | "julian" => Part::DayOfYear,
        "hour" | "hr" | "hh" | "stunde" | "hora" | "heure" | "ora" | "uur" | "hours" => Part::Hour,
        "hhmm" | "hrmn" => Part::Clock,
        "ms" | "msec" | "millis" | "millisecond" | "milliseconds" | "millisekunde" | "millisekunden" => Part::Millisecond,
        "minute" | "min" | "minuto" | "minuut" | "mins" => Part::Minute,
        "second" | "seconds" | "sec" | "secs" | "sekunde" | "segundo" | "seconde" | "secondo" => Part::Second,
        _ => return None,
    })
}

/// The part of a date that column `c` holds. `MM` is the month behind a year or a day, and the minute behind an hour.
pub(crate) fn part_beside(names: &[String], c: usize) -> Option<Part> {
    let before = || names.get(c.checked_sub(1)?).and_then(|name| part(name));
    match part(&names[c]) {
        None if names[c].eq_ignore_ascii_case("mm") => match before()? {
            Part::Year | Part::Day => Some(Part::Month),
            Part::Hour => Some(Part::Minute),
            _ => None,
        },
        found => found,
    }
}

/// Whether a column of this name tells in which unit elapsed time is counted: milliseconds each.
pub(crate) fn elapsed_unit(name: &str) -> Option<(&'static str, f64)> {
    words(name).iter().rev().find_map(|word| {
        Some(match word.as_str() {
            "ms" | "millis" | "milliseconds" => ("elapsed-ms", 1.0),
            "s" | "sec" | "secs" | "second" | "seconds" | "sekunden" => ("elapsed-s", 1e3),
            "min" | "mins" | "minutes" | "minuten" => ("elapsed-min", 6e4),
            "h" | "hr" | "hrs" | "hour" | "hours" | "stunden" => ("elapsed-h", 3.6e6),
            "d" | "day" | "days" | "tage" => ("elapsed-d", 8.64e7),
            _ => return None,
        })
    })
}

/// Whether a column of this name may hold the beginning or end of an interval.
pub(crate) fn is_bound(name: &str) -> bool {
    let words = words(name);
    !words.is_empty()
        && words
            .iter()
            .all(|word| BESIDE.contains(word.as_str()) || TIME.contains(word.as_str()))
}

static UNITS: Words = LazyLock::new(|| set("unit units unit_of_measurement uom einheit unité unite unidad eenheid"));

/// Whether a column of this name holds the unit of each value of a long table.
pub(crate) fn is_unit(name: &str) -> bool {
    is_one_of(&UNITS, name)
}

/// Whether a column of this name counts rows.
pub(crate) fn is_row_number(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    name.is_empty()
        || name.starts_with("unnamed")
        || matches!(
            name.as_str(),
            "#" | "no"
                | "no."
                | "nr"
                | "nr."
                | "row"
                | "index"
                | "idx"
                | "id"
                | "record"
                | "record number"
                | "rownum"
                | "row_number"
                | "line"
                | "seq"
                | "n"
                | "instant"
                | "rec"
        )
}

static SERIES: Words = LazyLock::new(|| {
    set(
        "entity_id varname var_name variablename variable_name unique_id series metric metric_name variable variate sensor \
    sensor_id sensor_name sensorid sensorname _field field tag tagname tag_name name parameter param channel signal point \
    point_name pointname object_name item item_id measurement quantity statistic_id topic key attribute type id messstelle kanal größe \
    serie capteur variabele device device_id measure datapoint register label timeseries ts_id source location",
    )
});

/// Whether a column of this name tells the series of a long table apart.
pub(crate) fn is_series_name(name: &str) -> bool {
    is_one_of(&SERIES, name)
}

static VALUES: Words = LazyLock::new(|| {
    set(
        "value varvalue var_value variablevalue state _value y val wert valor valeur reading values messwert measurement_value \
    target data_value mean numeric_value object_value point_value waarde valore v double float_value",
    )
});

/// Whether a column of this name holds the values of a long table.
pub(crate) fn is_value_name(name: &str) -> bool {
    is_one_of(&VALUES, name)
}

static DEVICES: Words = LazyLock::new(|| set("device device_id unique_id location source id name item_id"));

static IDENTIFIERS: Words = LazyLock::new(|| {
    set(
        "id device device_id deviceid device_name sensor_id sensorid sensor_name station_id stations_id station station_name node_id \
    nodeid node meter_id meterid machine_id asset_id serial serial_number",
    )
});

static THINGS: Words = LazyLock::new(|| set("sensor meter machine asset"));

/// Whether a column of this name tells devices apart, also one of numbers.
pub(crate) fn is_identifier(name: &str) -> bool {
    is_one_of(&IDENTIFIERS, name) || is_thing(name)
}

/// Whether the name is that of a thing: numbers below it may be its readings.
pub(crate) fn is_thing(name: &str) -> bool {
    is_one_of(&THINGS, name)
}

/// Whether a column of this name tells devices apart rather than variates, where there are several columns of numbers.
pub(crate) fn is_device_name(name: &str) -> bool {
    is_one_of(&DEVICES, name)
}
