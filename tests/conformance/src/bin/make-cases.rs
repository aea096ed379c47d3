//! Writes every case's file anew, from the catalogue and the reference.

use std::error::Error;
use tsm2_conformance::{case::Case, catalogue::recipes};

fn main() -> Result<(), Box<dyn Error>> {
    for recipe in recipes() {
        let bytes = Case::make(&recipe).to_bytes();
        println!("{}: {} bytes", recipe.name, bytes.len());
        std::fs::write(Case::path(recipe.name), bytes)?;
    }
    Ok(())
}
