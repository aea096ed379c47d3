//! Prints the table of `docs/reference/onnx.md`: `cargo run --release -p tsm2-conformance --bin onnx-table`.

fn main() {
    print!("{}", tsm2_conformance::onnx::table(&tsm2_conformance::onnx::Subject::all()));
}
