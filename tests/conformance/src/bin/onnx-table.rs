//! Prints the table of `docs/reference/onnx.md`:
//! `cargo run --release -p tsm2-conformance --no-default-features --features onnx --bin onnx-table`.

fn main() {
    print!("{}", tsm2_conformance::onnx::table(&tsm2_conformance::onnx::Subject::all()));
}
