//! What all pages have: the head, the title, the summary, sections with their headings.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::section::Section;

const STYLE: &str = include_str!("style.css");

/// A whole page.
pub fn frame(title: &str, rows: &Markup, card: &Markup, sections: &[Section]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p.soft { (rows) }
                }
                main {
                    (card)
                    nav aria-label="Sections" {
                        ul { @for section in sections { li { a href={ "#" (section.id) } { (section.title) } } } }
                    }
                    @for section in sections {
                        section aria-labelledby=(section.id) {
                            h2 id=(section.id) { (section.title) }
                            (section.body)
                        }
                    }
                }
                footer { p.soft { "Written by tsm2 " (env!("CARGO_PKG_VERSION")) ". The page needs no other file." } }
            }
        }
    };
    // A number and its percent sign stay in one line.
    page.into_string().replace(" %", "\u{a0}%")
}
