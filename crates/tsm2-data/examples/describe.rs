//! Prints how a recording is read, as JSON: `cargo run -p tsm2-data --example describe -- FILE..`

use tsm2_data::{Options, read};

fn main() {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let draw = std::env::var_os("DRAW").is_some();
    match read(&paths, &Options::default()) {
        Ok((_, report)) if draw => print!("{}\n{}", report.brief(), report.drawing(110)),
        Ok((recording, report)) => {
            println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
            println!("{} time steps, {} series", recording.rows(), recording.series.len());
        }
        Err(error) => println!("error: {error}"),
    }
}
