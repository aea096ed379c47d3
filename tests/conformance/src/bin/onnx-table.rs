//! Prints the table of exported models beside the device's step:
//! `cargo run --release -p tsm2-conformance --no-default-features --features onnx --bin onnx-table`.

fn main() {
    print!("{}", tsm2_conformance::onnx::table(&tsm2_conformance::onnx::Subject::all()));
}
