//! Words of dates and times: months, zones, and the characters of East Asia.

use std::borrow::Cow;

/// Half hours east of UTC.
pub(crate) fn abbreviation(word: &[u8]) -> Option<i32> {
    Some(match word.to_ascii_uppercase().as_slice() {
        b"Z" | b"UTC" | b"GMT" | b"WET" => 0,
        b"CET" | b"MEZ" | b"WEST" => 2,
        b"CEST" | b"MESZ" | b"EET" => 4,
        b"EEST" | b"MSK" => 6,
        b"EST" => -10,
        b"EDT" => -8,
        b"CST" => -12,
        b"CDT" => -10,
        b"MST" => -14,
        b"MDT" => -12,
        b"PST" => -16,
        b"PDT" => -14,
        b"JST" | b"KST" => 18,
        b"AEST" => 20,
        b"AEDT" => 22,
        _ => return None,
    })
}

/// The month that a word names, in the common languages; three letters suffice.
pub(crate) fn month(word: &[u8]) -> Option<i8> {
    let text = std::str::from_utf8(word).ok()?.to_lowercase();
    const NAMES: [&[&str]; 12] = [
        &["jan", "ene", "gen", "janv", "jän"],
        &["feb", "fev", "fév", "févr"],
        &["mar", "mär", "mrz", "mrt", "mars", "maart"],
        &["apr", "abr", "avr", "avril"],
        &["may", "mai", "mag", "mei", "maj", "mayo", "maio"],
        &["jun", "giu", "juin"],
        &["jul", "lug", "juil"],
        &["aug", "ago", "aou", "aoû", "août"],
        &["sep", "set", "sept"],
        &["oct", "okt", "ott", "out"],
        &["nov"],
        &["dec", "dez", "dic", "déc"],
    ];
    if text.chars().count() < 3 {
        return None;
    }
    // Whole names begin with the short form; juin and juillet differ in the fourth letter only.
    let matches = |short: &&str| text == **short || text.starts_with(*short) && text.chars().count() >= 3;
    if text.starts_with("juil") {
        return Some(7);
    }
    NAMES.iter().position(|short| short.iter().any(&matches)).map(|at| at as i8 + 1)
}

/// Words before a time of day for AM and PM.
const HALVES: [(&str, &str); 6] = [
    ("午前", " AM"),
    ("上午", " AM"),
    ("오전", " AM"),
    ("午後", " PM"),
    ("下午", " PM"),
    ("오후", " PM"),
];

/// The cell with spaces and digits for other spaces and the characters of East Asia: `2024年3月4日 午後1時10分` as `2024-3-4 1:10 PM`.
pub(crate) fn plain(cell: &[u8]) -> Cow<'_, [u8]> {
    if cell.is_ascii() {
        return Cow::Borrowed(cell);
    }
    let Ok(text) = std::str::from_utf8(cell) else {
        return Cow::Borrowed(cell);
    };
    let text = without_weekday(text);
    let half = HALVES.iter().find(|(word, _)| text.contains(word));
    let text = half.map_or(text.clone(), |(word, _)| Cow::Owned(text.replace(word, "")));
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{a0}' | '\u{202f}' | '\u{2009}' | '\u{3000}' => plain.push(' '),
            '年' | '년' | '月' | '월' => plain.push('-'),
            '時' | '时' | '시' | '点' | '分' | '분' => plain.push(':'),
            '日' | '일' | '秒' | '초' => {}
            ' ' if plain.ends_with(['-', ':']) => {}
            _ => plain.push(c),
        }
    }
    plain.truncate(plain.trim_end_matches([':', ' ']).len());
    plain.push_str(half.map_or("", |(_, suffix)| suffix));
    Cow::Owned(plain.into_bytes())
}

/// The text without a weekday in brackets: `2024/3/4(月) 10:00`.
fn without_weekday(text: &str) -> Cow<'_, str> {
    let is_weekday = |inside: &str| inside.chars().count() == 1 && "月火水木金土日월화수목금토일".contains(inside);
    match text
        .split_once('(')
        .and_then(|(before, rest)| Some((before, rest.split_once(')')?)))
    {
        Some((before, (inside, behind))) if is_weekday(inside) => Cow::Owned(format!("{before}{behind}")),
        _ => Cow::Borrowed(text),
    }
}
