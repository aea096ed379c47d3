//! One cell: a number, a state, a word for "no reading", or text.
//!
//! Numbers are parsed to `f64` first and rounded to `f32` by the caller, as readings are on the device.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::units;

/// The character before the decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Decimal {
    /// `1.5`; commas may group thousands.
    #[default]
    Dot,
    /// `1,5`; dots may group thousands.
    Comma,
}

/// What a cell looks like on its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Class<'a> {
    /// Nothing but blanks.
    Empty,
    /// A word that stands for no reading.
    Missing,
    /// A number that needs no decision.
    Number(f64),
    /// A number with a comma, and how the comma is to be read.
    Comma(CommaUse),
    /// A number, as text, and its unit.
    Unit(&'a [u8], &'a str),
    /// A state.
    State(bool),
    /// Anything else: text, or a time.
    Text,
}

/// How the separators of a number can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommaUse {
    /// `19,1`: only as decimals.
    Decimals,
    /// `1,234.5` or `1,234,567`: only as groups of thousands.
    Thousands,
    /// `1,234`: as either.
    Either,
}

/// The bytes without blanks around them, among them the no-break space.
pub(crate) fn trim(cell: &[u8]) -> &[u8] {
    let is_plain = |byte: &u8| (b'!'..0x7f).contains(byte);
    if cell.first().is_some_and(is_plain) && cell.last().is_some_and(is_plain) {
        return cell;
    }
    let mut cell = cell.trim_ascii();
    while let Some(rest) = cell.strip_prefix(b"\xc2\xa0") {
        cell = rest.trim_ascii();
    }
    while let Some(rest) = cell.strip_suffix(b"\xc2\xa0") {
        cell = rest.trim_ascii();
    }
    cell
}

/// A cell as a name; one over two lines is one name.
pub(crate) fn name(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell)
        .split(char::is_control)
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
}

/// What a trimmed cell looks like.
pub(crate) fn classify(cell: &[u8]) -> Class<'_> {
    if cell.is_empty() {
        return Class::Empty;
    }
    if let Some(number) = plain(cell) {
        return Class::Number(number);
    }
    if is_missing(cell) {
        return Class::Missing;
    }
    if let Some(usage) = comma_use(cell) {
        return Class::Comma(usage);
    }
    if let Some(state) = state(cell) {
        return Class::State(state);
    }
    match split_unit(cell) {
        Some((number, unit)) if separated(number, Decimal::Dot).or(separated(number, Decimal::Comma)).is_some() => {
            Class::Unit(number.trim_ascii(), unit)
        }
        _ => Class::Text,
    }
}

/// A number with `.` before its decimals and nothing else; one that is too large is infinite.
pub(crate) fn plain(cell: &[u8]) -> Option<f64> {
    if let [sign @ (b'+' | b'-'), b' ', rest @ ..] = cell {
        // Loggers align numbers behind their signs: `+  21.3`.
        let rest = rest.trim_ascii_start();
        rest.first().filter(|byte| byte.is_ascii_digit() || **byte == b'.')?;
        let number = plain(rest)?;
        return Some(if *sign == b'-' { -number } else { number });
    }
    let first = *cell.first()?;
    if !(first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.')) {
        return None;
    }
    let number: f64 = std::str::from_utf8(cell).ok()?.parse().ok()?;
    // `-inf` and `+nan` are words.
    (number.is_finite() || first.is_ascii_digit() || cell.iter().any(u8::is_ascii_digit)).then_some(number)
}

/// The number in a trimmed cell by this decimal character, a unit behind it left out.
pub(crate) fn number(cell: &[u8], decimal: Decimal) -> Option<f64> {
    if decimal == Decimal::Dot
        && let Some(number) = plain(cell)
    {
        return Some(number);
    }
    separated(cell, decimal).or_else(|| separated(split_unit(cell)?.0, decimal))
}

fn separated(cell: &[u8], decimal: Decimal) -> Option<f64> {
    let (point, group) = match decimal {
        Decimal::Dot => (b'.', b','),
        Decimal::Comma => (b',', b'.'),
    };
    if cell.len() > 64 {
        return None;
    }
    let mut text = [0u8; 64];
    if decimal == Decimal::Comma && has_quality(cell) {
        return None;
    }
    let (mut length, mut since_group, mut decimals) = (0, None::<usize>, false);
    let mut bytes = cell.iter().copied().peekable();
    if cell.starts_with(LONG_MINUS) {
        bytes.nth(LONG_MINUS.len() - 1);
        text[0] = b'-';
        length = 1;
    } else if let [sign @ (b'+' | b'-'), b' ', ..] = *cell {
        bytes.next();
        while bytes.next_if_eq(&b' ').is_some() {}
        text[0] = sign;
        length = 1;
    }
    while let Some(mut byte) = bytes.next() {
        if byte == 0xc2 && bytes.peek() == Some(&0xa0) {
            bytes.next();
            byte = b' ';
        } else if byte == 0xe2 && bytes.next_if_eq(&0x80).is_some() {
            // A narrow or thin space.
            byte = bytes.next_if(|last| matches!(last, 0xaf | 0x89)).map_or(0xe2, |_| b' ');
        }
        let is_group = (byte == group || byte == b' ' || byte == b'\'') && !decimals;
        if is_group {
            let digits = text[..length].iter().filter(|b| b.is_ascii_digit()).count();
            if digits == 0 || since_group.map_or(digits > 3 || text[..length].ends_with(b"0") && digits == 1, |since| since != 3) {
                return None;
            }
            since_group = Some(0);
            continue;
        }
        if byte == point || byte == b'e' || byte == b'E' {
            if since_group.is_some_and(|since| since != 3) {
                return None;
            }
            since_group = None;
            decimals = true;
        } else if let Some(since) = &mut since_group {
            *since += 1;
        }
        text[length] = if byte == point { b'.' } else { byte };
        length += 1;
    }
    if since_group.is_some_and(|since| since != 3) {
        return None;
    }
    plain(&text[..length])
}

/// Whether a cell is a reading and its quality, as weather services write them: `+0150,5`.
fn has_quality(cell: &[u8]) -> bool {
    matches!(cell, [b'+' | b'-', b'0', rest @ .., b',', quality] if rest.len() == 3 && rest.iter().chain([quality]).all(u8::is_ascii_digit))
}

/// The typographic minus.
const LONG_MINUS: &[u8] = "\u{2212}".as_bytes();

/// How the separators of a number with commas can be read; `None` for anything else.
pub(crate) fn comma_use(cell: &[u8]) -> Option<CommaUse> {
    if !cell.iter().any(|&byte| matches!(byte, b',' | b' ' | b'\'' | 0xc2 | 0xe2)) && cell.iter().filter(|&&b| b == b'.').nth(1).is_none() {
        return None;
    }
    let (dot, comma) = (separated(cell, Decimal::Dot).is_some(), separated(cell, Decimal::Comma).is_some());
    match (dot, comma) {
        (true, true) => Some(CommaUse::Either),
        (true, false) => Some(CommaUse::Thousands),
        (false, true) => Some(CommaUse::Decimals),
        (false, false) => None,
    }
}

/// Whether the dot of a plain number may group thousands: `1.234`, not `0.234` or `1.23`.
pub(crate) fn may_group(cell: &[u8]) -> bool {
    let digits = cell.strip_prefix(b"-").unwrap_or(cell);
    let Some(dot) = digits.iter().position(|&byte| byte == b'.') else {
        return false;
    };
    (1..=3).contains(&dot) && digits[0] != b'0' && digits.len() == dot + 4 && digits[dot + 1..].iter().all(u8::is_ascii_digit)
}

/// Signs of currencies that stand before a number.
const CURRENCIES: [&str; 4] = ["$", "€", "£", "¥"];

/// A number's text and the unit behind it, or the currency before it.
pub(crate) fn split_unit(cell: &[u8]) -> Option<(&[u8], &str)> {
    let text = std::str::from_utf8(cell).ok()?;
    if let Some(currency) = CURRENCIES.iter().find(|currency| text.starts_with(**currency)) {
        return Some((cell[currency.len()..].trim_ascii(), currency));
    }
    let is_digit = |at: usize| cell.get(at).is_some_and(u8::is_ascii_digit);
    let mut end = 0;
    while let Some(&byte) = cell.get(end) {
        let goes_on = match byte {
            b'0'..=b'9' | b'.' | b',' => true,
            b'-' | b'+' => end == 0 || matches!(cell[end - 1], b'e' | b'E'),
            b'\'' | b' ' => end > 0 && is_digit(end + 1),
            b'e' | b'E' => end > 0 && (is_digit(end + 1) || matches!(cell.get(end + 1), Some(b'-' | b'+')) && is_digit(end + 2)),
            0xe2 => end == 0 && cell.starts_with(LONG_MINUS),
            _ => false,
        };
        match goes_on {
            true => end += if byte == 0xe2 { LONG_MINUS.len() } else { 1 },
            false => break,
        }
    }
    if !cell[..end].iter().any(u8::is_ascii_digit) {
        return None;
    }
    let unit = text.get(end..)?.trim();
    units::is_unit(unit).then(|| (&cell[..end], unit))
}

/// Words that stand for no reading, in lower case.
static MISSING: LazyLock<HashSet<&'static [u8]>> = LazyLock::new(|| {
    "nan|na|n/a|null|none|nil|?|-|--|---|----|*|**|***|****|*****|.|..|#n/a|#na|#value!|#div/0!|#null!|#num!|#ref!|\
     <na>|<null>|(null)|\\n|nat|unavailable|unknown|undefined|invalid|missing|bad|bad input|no data|nodata|no value|\
     novalue|no reading|no sample|not connect|not connected|disconnected|offline|error|err|fault|fail|failed|\
     i/o timeout|timeout|comm fail|pt created|scan off|shutdown|keine daten|fehler|ungültig|inf|\
     n/e|n/d|n.a.|n.v.|k.a.|#nv|#wert!|#bezug!|#zahl!|#name?|#nom?|#valeur!|#nul!|#n/d|#¡valor!|#valor!|#rif!|#num?|#arg!"
        .split('|')
        .map(str::as_bytes)
        .collect()
});

/// Those of them that need no mention.
const COMMON: [&str; 9] = ["nan", "na", "n/a", "null", "none", "nat", "nil", "<na>", "#n/a"];

/// Whether a trimmed, non-empty cell is a word that stands for no reading.
pub fn is_missing(cell: &[u8]) -> bool {
    let mut lower = [0; 13];
    let Some(lower) = lower.get_mut(..cell.len()) else { return false };
    lower.copy_from_slice(cell);
    lower.make_ascii_lowercase();
    let unsigned = cell.strip_prefix(b"-").or(cell.strip_prefix(b"+")).unwrap_or(cell);
    MISSING.contains(&*lower)
        || unsigned.eq_ignore_ascii_case(b"inf")
        || unsigned.eq_ignore_ascii_case(b"nan")
        || unsigned.eq_ignore_ascii_case(b"infinity")
}

/// Whether a word for no reading goes without saying.
pub(crate) fn is_common_missing(cell: &[u8]) -> bool {
    cell.is_empty() || COMMON.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(cell))
}

/// Words for a state: on, off.
const STATES: [(&str, &str); 20] = [
    ("on", "off"),
    ("true", "false"),
    ("open", "closed"),
    ("yes", "no"),
    ("active", "inactive"),
    ("running", "stopped"),
    ("run", "stop"),
    ("enabled", "disabled"),
    ("occupied", "unoccupied"),
    ("home", "not_home"),
    ("detected", "clear"),
    ("motion", "no motion"),
    ("wet", "dry"),
    ("opened", "close"),
    ("ein", "aus"),
    ("an", "aus"),
    ("ja", "nein"),
    ("wahr", "falsch"),
    ("oui", "non"),
    ("vrai", "faux"),
];

/// The state that a trimmed cell names.
pub fn state(cell: &[u8]) -> Option<bool> {
    if cell.len() > 10 {
        return None;
    }
    STATES.iter().find_map(|(on, off)| match cell {
        _ if on.as_bytes().eq_ignore_ascii_case(cell) => Some(true),
        _ if off.as_bytes().eq_ignore_ascii_case(cell) => Some(false),
        _ => None,
    })
}
