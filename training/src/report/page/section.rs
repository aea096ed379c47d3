//! A section of the page.

use maud::Markup;

/// A section of the page.
pub struct Section {
    /// The end of its address.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// Below the heading.
    pub body: Markup,
}
